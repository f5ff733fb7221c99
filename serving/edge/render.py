"""The configuration of the prefix, from template, registered hosts and settings. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import jinja2

from ingest.logs.prefixes import PrefixRules, own_prefix_hosts
from serving.edge.grammar import grammar
from serving.edge.settings import EdgeSettings, listed

NOT_FOUND = (
    "nothing to send you to: this prefix knows /e/HOST/PATH of enclosures that are registered with it. "
    "Your show? Ask who runs this prefix to register its feed."
)


@dataclass(frozen=True)
class Rendered:
    """Files of a configuration, by name; `version` tells one from another."""

    nginx: str
    hosts: str

    @property
    def version(self) -> str:
        return hashlib.sha256(f"{self.nginx}\0{self.hosts}".encode()).hexdigest()[:16]

    @property
    def files(self) -> dict[str, str]:
        return {"nginx.conf": self.nginx, "hosts.conf": self.hosts}


@dataclass(frozen=True)
class Times:
    """nginx's variables that tell when a response ended and how long it took, in seconds."""

    ended: str = "$msec"
    took: str = "$request_time"


def render(
    settings: EdgeSettings,
    hosts: tuple[str, ...],
    prefixes: PrefixRules,
    user: str | None = None,
    log_options: str = "",
    times: Times = Times(),
) -> Rendered:
    """user: user and group the workers run as; None: as who starts nginx. log_options: more of `access_log`.
    times: other ones are for a made-up world alone, which has a clock of its own.

    Raises TooManyPrefixes.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("serving.edge", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template("nginx.conf.j2").render(
        user=user,
        workers=settings.workers,
        folder=settings.folder,
        pid_file=settings.pid_file,
        log=settings.log,
        log_options=log_options,
        times=times,
        trusted_proxies=listed(settings.trusted_proxies),
        hash_size=1 << max(11, (2 * len(hosts)).bit_length()),
        grammar=grammar(prefixes),
        rate=settings.rate,
        burst=settings.burst,
        listen=listed(settings.listen),
        listen_tls=listed(settings.listen_tls),
        certificate=settings.certificate,
        certificate_key=settings.certificate_key,
        server_names=" ".join(own_prefix_hosts(settings.platform)),
        not_found=NOT_FOUND,
    )
    return Rendered(text, "".join(f"{host} 1;\n" for host in hosts))
