"""The application as a deployment of Ray Serve: `serve run deploy/ray/serve.yaml`.

    serve run -> app(arguments) -> in each replica: create_app, Replica.reconfigure, Replica.check_health

Ray's proxy listens, and Ray replaces what hangs or dies; the rest of the service, its batcher included, is
the same as anywhere. What is built here is imported by nothing else of the service. See docs/ray.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError
from ray import serve

from service.app import create_app
from service.inference import device
from service.observability import logs, metrics
from service.repository.repository import Repository
from service.runtime import memory
from service.settings import SECRETS, BadSetting, Settings

NAME = "latent-service"
"""The deployment's."""

OF_THE_SERVER = frozenset(
    {
        *("host", "port", "workers", "stuck_worker_s"),
        *("header_timeout_s", "reader_timeout_s", "keep_alive_timeout_s"),
        *("max_connections", "max_header_bytes"),
    }
)
"""Settings of what Ray does in our server's place."""

OF_ALL_WORKERS = frozenset({"admin_key", "admin_key_file", "drift_rows", "drift_interval_s"})
"""Settings of what would hold in one replica alone."""

MAX_ONGOING_REQUESTS = 256
"""Requests in a replica at once: Ray's own limit of 5 would leave the batcher nothing to join."""

HEALTH_PERIOD_S, HEALTH_TIMEOUT_S = 2.0, 5.0
"""How often a replica is asked how it is, and how long it may take; Ray lets three answers go amiss."""


SHORTEST_DRAIN_S = 0.1
"""A replica on its way out looks as often whether it is done, if there is no drain delay."""


class UserConfig(BaseModel):
    """What can change while a replica runs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    versions: dict[str, PositiveInt] = {}
    """The highest version of a name that serves; names that are not here serve the highest there is."""


class Replica:
    """What Ray asks of a replica, other than to answer requests."""

    app: FastAPI

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Serve the versions of a new `user_config`; Ray sends no requests here meanwhile.

        Raises:
            BadSetting: it has another field, or a version that is no positive whole number.
        """
        try:
            wanted = UserConfig.model_validate(user_config)
        except ValidationError as error:
            raise _bad_setting("user_config", error) from None
        await self._repository.hold(wanted.versions)

    async def check_health(self) -> None:
        """Return while the event loop turns.

        Raises:
            RuntimeError: a thread is lost to a run that does not end.
        """
        metrics.MEMORY_BYTES.set(memory.resident_bytes())
        logs.count_lost_lines()
        if self._repository.is_stuck:
            raise RuntimeError("a run does not end")

    @property
    def _repository(self) -> Repository:
        repository: Repository = self.app.state.repository
        return repository


def app(arguments: Mapping[str, Any]) -> serve.Application:
    """Return the application, with settings by their names; those of the environment count too.

    A replica stops as the service does: it finishes what it has, and goes on for the drain delay at least.

    Raises:
        BadSetting: a setting is unknown, not allowed, or none of a replica.
    """
    settings = read_settings(arguments)

    def build() -> FastAPI:
        """Make a replica's application, in the replica: keys are read there."""
        found = read_settings(arguments)
        logs.configure_logs(found.log_level, found.log_format)
        return create_app(found, cores=replica_cores())

    deployment = serve.deployment(
        serve.ingress(build)(Replica),
        name=NAME,
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=max(SHORTEST_DRAIN_S, settings.drain_delay_s),
        graceful_shutdown_timeout_s=settings.drain_delay_s + settings.request_timeout_s + 1,
    )
    return deployment.bind()


def read_settings(arguments: Mapping[str, Any]) -> Settings:
    """Return the settings of a replica.

    Raises:
        BadSetting: see `app`.
    """
    for name in arguments:
        if name in OF_THE_SERVER:
            raise BadSetting(f"{name}: Ray does this; see docs/ray.md")
        if name in OF_ALL_WORKERS:
            raise BadSetting(f"{name}: it would hold in one replica alone; see docs/ray.md")
        if name in SECRETS:
            raise BadSetting(f"{name}: Ray shows what it is given; use LATENT_{name.upper()} or {name}_file")
    try:
        settings = Settings(**{**arguments, "host": "127.0.0.1", "admin_key": None, "admin_key_file": None})
        device.check(settings.device)
        if not settings.allowed_hosts:  # Ray's proxy has the names
            settings = settings.model_copy(update={"allowed_hosts": ("*",)})
    except ValidationError as error:
        raise _bad_setting("", error) from None
    except device.NoSuchDevice as error:
        raise BadSetting(str(error)) from None
    if not (settings.api_keys or settings.allow_no_key):
        raise BadSetting(
            "allow_no_key: must be true where there is no api_keys_file: Ray's proxy may listen anywhere"
        )
    return settings


def replica_cores() -> int:
    """Return how many cores this replica is to use: the whole ones of its `num_cpus`, one at least."""
    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))


def _bad_setting(where: str, error: ValidationError) -> BadSetting:
    first = error.errors(include_url=False)[0]
    name = ".".join(part for part in (where, *map(str, first["loc"])) if part)
    message = first["msg"].removeprefix("Value error, ")
    return BadSetting(f"{name}: {message}" if name else message)
