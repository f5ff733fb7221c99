"""What a key epoch's secret is known by, so that another one is told from it, and a lost one from none yet.

    keys/epoch-690.print    8 hex digits of HMAC-SHA256(secret, "fingerprint"), mode 0600

A secret is 256 random bits: 32 bits of a MAC under it tell nobody what it is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Final

from ingest.durable import write_atomically

_FILE: Final = re.compile(r"epoch-(-?[0-9]+)\.print")


def is_as_before(folder: Path, epoch: int, secret: str) -> bool:
    """Is it the secret of the first use? The first is noted. For holders of the keys' lock."""
    of = path(folder, epoch)
    told = hmac.new(secret.encode(), b"fingerprint", hashlib.sha256).hexdigest()[:8]
    if of.exists():
        return of.read_bytes().strip() == told.encode()
    write_atomically(of, told.encode())
    of.chmod(0o600)
    return True


def path(folder: Path, epoch: int) -> Path:
    """Where the fingerprint of an epoch's secret is."""
    return folder / f"epoch-{epoch}.print"


def epoch_of(name: str) -> int | None:
    """The epoch whose fingerprint a file of that name is; None: it is none."""
    match = _FILE.fullmatch(name)
    return int(match[1]) if match else None
