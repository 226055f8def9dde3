"""Every limit and path of the service, typed and frozen; the first thing `python -m service` makes.

A setting comes from its flag, else from the environment variable `LATENT_<NAME>`, else from its default.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError


class BadSetting(Exception):
    """A setting that cannot be; the message is one line that names it and says what is allowed."""


class Settings(BaseSettings):
    """Serve checkpoints over HTTP. Every flag is an environment variable too: LATENT_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="LATENT_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    workers: int = Field(
        1, ge=1, le=256, description="Processes that serve; one per core is the most that helps."
    )
    checkpoints: Path = Field(
        Path("checkpoints"), description="Folder that holds <name>/<version>/ checkpoints."
    )
    reload_interval_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="Seconds between looks at the checkpoint folder; 0 looks once, at start.",
    )
    drain_delay_s: float = Field(
        1.0,
        ge=0,
        le=600,
        description="Seconds to go on serving after SIGTERM, so that callers can move away.",
    )
    request_timeout_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="Seconds an answer may take; X-Request-Timeout-S can only shorten it.",
    )
    max_body_bytes: int = Field(32 << 20, ge=1, description="Bytes a request body may hold.")
    max_images: int = Field(256, ge=1, le=65536, description="Images one request may carry.")
    max_image_pixels: int = Field(
        50_000_000, ge=1, description="Pixels one image may have before it is resized."
    )
    max_count: int = Field(1024, ge=1, le=65536, description="Images one request may ask for.")
    queue_rows: int = Field(
        4096, ge=1, description="Rows that may wait for one graph before requests get 429."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )
    allow_no_key: bool = Field(
        False,
        description="Serve without API keys beyond loopback; only for networks that are closed otherwise.",
    )

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if not self.allow_no_key and not _is_loopback(self.host):
            raise ValueError(
                "host: without API keys only a loopback address is served, unless allow_no_key is true"
            )
        if self.queue_rows < max(self.max_count, self.max_images):
            raise ValueError("queue_rows: must hold one whole request, at least max_count and max_images")
        return self


def read_settings(arguments: Sequence[str]) -> Settings:
    """Return the settings of a command line and the environment; `--help` prints and exits.

    Raises:
        BadSetting: a flag is unknown or a value is not allowed.
    """
    try:
        return Settings(
            _cli_parse_args=list(arguments),
            _cli_prog_name="python -m service",
            _cli_kebab_case=True,
            _cli_implicit_flags=True,
            _cli_exit_on_error=False,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise BadSetting(message) from None
        name = str(first["loc"][0])
        flag, variable = f"--{name.replace('_', '-')}", f"LATENT_{name.upper()}"
        raise BadSetting(f"{flag} (or {variable}): {message}, not {first['input']!r}") from None
    except SettingsError as error:
        raise BadSetting(str(error).removeprefix("error parsing CLI: ")) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
