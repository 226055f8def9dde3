"""Typed access to what the application and its middlewares keep for a route.

create_app -> app.state -> here; middleware -> scope["state"] -> here -> routes

Routes take what they need by name; `Any` ends here.
"""

from __future__ import annotations

from typing import cast

from starlette.requests import Request

from service.comparison.comparer import Comparer
from service.comparison.drift import Drift, Windows
from service.http.api_keys import Keys
from service.http.exchange import Exchange
from service.http.open_requests import Drain
from service.repository.repository import Repository
from service.settings import Settings


def settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


def keys(request: Request) -> Keys:
    """Return who may ask."""
    return cast(Keys, request.app.state.keys)


def repository(request: Request) -> Repository:
    return cast(Repository, request.app.state.repository)


def drain(request: Request) -> Drain:
    """Return the switch that says whether the process is on its way out."""
    return cast(Drain, request.app.state.drain)


def comparer(request: Request) -> Comparer:
    return cast(Comparer, request.app.state.comparer)


def windows(request: Request) -> Windows:
    """Return what is kept of live latents."""
    return cast(Windows, request.app.state.windows)


def drift(request: Request) -> Drift:
    """Return what compares live latents with those of training."""
    return cast(Drift, request.app.state.drift)


def request_id(request: Request) -> str:
    """Return the id under which this request is logged."""
    return cast(str, request.scope["state"]["request_id"])


def exchange(request: Request) -> Exchange:
    """Return the limits under which this request is read and answered."""
    return cast(Exchange, request.scope["state"]["exchange"])


def deadline_s(request: Request) -> float:
    """Return when the answer has to be there, on the scale of `time.monotonic()`."""
    return exchange(request).deadline_s
