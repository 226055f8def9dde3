"""Who may ask: API keys, the admin key that alone opens the admin routes, and a key for the metrics alone.

    settings -> Keys; request_limits -> Keys.check; routes/admin -> Keys.check_admin

Only digests are kept, and every known one is compared in constant time, so that no answer tells by its time
how much of a key was right.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

from pydantic import SecretStr
from starlette.types import Scope

from service.errors import Forbidden, Unauthorized
from service.http.headers import header
from service.settings import Settings

PAGES = frozenset({"/", "/playground", "/docs", "/openapi.json"})
HEALTH = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
OPEN = PAGES | HEALTH
OPEN_FOLDERS = ("/playground/", "/docs/")
"""What needs no key: whether the service is well, how it is used, the page that asks for a key."""

METRICS = "/metrics"
"""What the metrics key opens: a scraper needs no right to run models."""

BEARER = b"bearer "


class Keys:
    """The keys of a service: open to all without API keys, but for the metrics if they have a key."""

    def __init__(self, settings: Settings) -> None:
        api = [_digest(key.get_secret_value().encode()) for key in settings.api_keys]
        self._admin = _digests(settings.admin_key)
        self._known = [*api, *self._admin] if api else []
        metrics = _digests(settings.metrics_key)
        self._of_metrics = [*metrics, *(self._known or self._admin)] if metrics else self._known

    def check(self, scope: Scope) -> None:
        """Let a request pass, if it carries a key or needs none.

        Raises:
            Unauthorized: it does not.
        """
        known = self._of_metrics if scope["path"] == METRICS else self._known
        if not known or is_open(scope["path"]):
            return
        if not _any_is_known(_given(scope), known):
            raise Unauthorized(headers={"WWW-Authenticate": "Bearer"})

    def check_admin(self, scope: Scope) -> None:
        """Let a request pass that carries the admin key.

        Raises:
            Unauthorized: it carries no key.
            Forbidden: it carries another key, or there is no admin key.
        """
        if not self._admin:
            raise Forbidden("This route is off, since the service was started without an admin key.")
        given = _given(scope)
        if not given:
            raise Unauthorized(headers={"WWW-Authenticate": "Bearer"})
        if not _any_is_known(given, self._admin):
            raise Forbidden


def is_open(path: str) -> bool:
    """Say whether a path needs no key."""
    return path in OPEN or path.startswith(OPEN_FOLDERS)


def _given(scope: Scope) -> list[bytes]:
    """Return the digests of the keys that came with a request."""
    authorization, key = header(scope, b"authorization"), header(scope, b"x-api-key")
    found = [] if key is None else [key]
    if authorization and authorization[: len(BEARER)].lower() == BEARER:
        found.append(authorization[len(BEARER) :].strip())
    return [_digest(key) for key in found]


def _any_is_known(given: Iterable[bytes], known: Iterable[bytes]) -> bool:
    return sum(hmac.compare_digest(one, other) for one in given for other in known) > 0


def _digests(key: SecretStr | None) -> list[bytes]:
    return [_digest(key.get_secret_value().encode())] if key else []


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()
