"""Who asks: nobody in particular, or a tenant by its key."""

from __future__ import annotations

from dataclasses import dataclass

from registry.api_keys import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Without a key there is no tenant and no scope: what is open to anybody."""

    tenant: str | None = None
    scopes: frozenset[Scope] = frozenset()
    key_id: int | None = None
    only_show: str | None = None  # of a link: nothing else of the tenant's

    @property
    def is_operator(self) -> bool:
        """Sees and does everything, whoever's it is."""
        return Scope.OPERATE in self.scopes

    @property
    def is_told_addresses(self) -> bool:
        """Of feeds and files: a link may be passed on, and private ones hold a token."""
        return self.only_show is None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or self.is_operator


ANYBODY = Caller()
