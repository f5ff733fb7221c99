"""What an endpoint of a webhook does with a request: well, badly, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from earshot.made_up.http import Wire, head
from ingest.durable import write_atomically

PATH = "/e/"  # before an endpoint's name

_NONE = ("Content-Length", "0")
_KB_64 = b" " * 65_536
_ENDLESS_BYTES = 10_000_000_000


class Behaviour(StrEnum):
    """How an endpoint answers; a challenge and a request with a wrong signature are always answered well."""

    OK = "ok"
    HANG = "hang"  # not at all
    ERROR = "error"  # 500
    BUSY = "busy"  # 429, Retry-After: 1; each third request is taken
    FLAP = "flap"  # 500 and 200 in turn, phase_s each
    REDIRECT = "redirect"  # 302 to an address here, where nobody should ever ask
    GONE = "gone"  # 410
    DRIP = "drip"  # 200, then a byte a minute
    ENDLESS = "endless"  # 200, then ten gigabytes


@dataclass(frozen=True)
class Endpoint:
    """One endpoint; `secrets`: any of them may have signed, none: whoever asks is believed."""

    behaviour: Behaviour = Behaviour.OK
    secrets: tuple[str, ...] = ()
    phase_s: float = 60


def write_endpoints(path: Path, endpoints: Mapping[str, Endpoint]) -> None:
    """Name → endpoint, as a receiver reads it; one that runs takes it over at its next request."""
    write_atomically(path, orjson.dumps({name: asdict(endpoint) for name, endpoint in endpoints.items()}))


def read_endpoints(path: Path) -> dict[str, Endpoint]:
    said = orjson.loads(path.read_bytes())
    return {
        name: Endpoint(Behaviour(one["behaviour"]), tuple(one["secrets"]), one["phase_s"])
        for name, one in said.items()
    }


def answer(endpoint: Endpoint, path: str, number: int, at_s: float) -> tuple[int, Wire]:
    """(status, what is sent) to the endpoint's request `number`, from 0; status 0: nothing is sent."""
    match endpoint.behaviour:
        case Behaviour.HANG:
            return 0, Wire(b"", "silent")
        case Behaviour.ERROR:
            return 500, _ERROR
        case Behaviour.BUSY if number % 3 != 2:
            return 429, _BUSY
        case Behaviour.FLAP if int(at_s / endpoint.phase_s) % 2 == 0:
            return 500, _ERROR
        case Behaviour.REDIRECT:
            return 302, Wire(head(302, ("Location", f"{path}/moved"), _NONE))
        case Behaviour.GONE:
            return 410, Wire(head(410, _NONE))
        case Behaviour.DRIP:
            return 200, Wire(head(200, ("Content-Length", "100")), "endless", b" ", 60)
        case Behaviour.ENDLESS:
            length = ("Content-Length", str(_ENDLESS_BYTES))
            return 200, Wire(head(200, length), "endless", _KB_64, 0.005)
    return 200, _TAKEN


def said(status: int, body: bytes, content_type: str = "text/plain") -> Wire:
    """A short answer."""
    return Wire(head(status, ("Content-Type", content_type), ("Content-Length", str(len(body)))) + body)


_TAKEN = said(200, b"ok")
_ERROR = said(500, b"out of order")
_BUSY = Wire(head(429, ("Retry-After", "1"), _NONE))
