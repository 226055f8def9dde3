"""Which names the service answers to, and which pages may use it: protection from pages of other sites.

    RequestLimits -> Origins.check

A page of another site cannot read our answers. Without this check it could still have its visitor's browser
post to us, or rebind a name of its own to this machine's address and pass for a page of ours. Neither needs a
key where the service has none, as by default on loopback.
"""

from __future__ import annotations

from functools import lru_cache

from starlette.types import Scope

from service.errors import Forbidden, WrongHost
from service.http.api_keys import HEALTH, METRICS
from service.http.headers import header
from service.settings import Settings, is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They run no model, and a page of another origin cannot read what they return."""

UNCHECKED = HEALTH | {METRICS}
"""Probes come by whatever name or address a cluster has for a replica."""

OWN_SITE = frozenset({b"same-origin", b"none"})
"""How a browser marks a request of our own pages, or of its user."""

MAX_HOSTS = 64
"""Values of Host that are remembered; nearly all requests of a service have the same."""

ANY = "*"
NOT_ALLOWED = "Pages of this origin may not use this service; LATENT_ALLOWED_ORIGINS can allow it."


class Origins:
    """The names and origins of one service."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = frozenset(settings.allowed_hosts)
        self._origins = frozenset(settings.allowed_origins)
        self._any_host = ANY in self._hosts or not (self._hosts or settings.listens_on_loopback)
        self._is_known = lru_cache(maxsize=MAX_HOSTS)(self._is_ours)

    def check(self, scope: Scope) -> None:
        """Let a request pass that came by a name of ours, and from no page that may not use the service.

        Raises:
            WrongHost: its Host is another name.
            Forbidden: a browser marks it as sent by a page of another origin, which is not allowed.
        """
        if not self._any_host and scope["path"] not in UNCHECKED:
            host = header(scope, b"host")
            if host and not self._is_known(host):  # browsers always send one
                raise WrongHost
        if scope["method"] not in SAFE_METHODS and ANY not in self._origins:
            self._check_origin(scope)

    def _is_ours(self, host: bytes) -> bool:
        name = _name(host.decode("latin-1"))
        return not name or (name in self._hosts if self._hosts else is_loopback(name))

    def _check_origin(self, scope: Scope) -> None:
        origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
        if site in OWN_SITE or (site is None and origin is None):
            return
        text = (origin or b"").decode("latin-1").lower()
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        # Browsers send Sec-Fetch-Site to loopback and by https alone; elsewhere the origin must be the host.
        if text not in self._origins and (site is not None or text.partition("://")[2] != host):
            raise Forbidden(NOT_ALLOWED)


def _name(host: str) -> str:
    """Return the name or address in a Host header, without the port and the brackets of IPv6."""
    name, _, port = host.lower().rpartition(":")
    bare = name if name and port.isdecimal() else host.lower()
    return bare.strip("[]")
