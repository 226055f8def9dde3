"""Every limit and path of the service, typed and frozen; the first thing `python -m service` makes.

A setting comes from its flag (command_line.py), else from the environment variable `LATENT_<NAME>`, else from
its default. The port may come from `PORT` too, which platforms that run containers set. Keys have no flags,
since other processes can read a command line; they come from the environment or a file.
tools/settings_page.py makes docs/settings.md of what is said here.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, CliSuppress, NoDecode, SettingsConfigDict

SECRETS = ("api_keys", "admin_key", "metrics_key")
"""Settings that are never shown and have no flags."""


class BadSetting(Exception):
    """A setting that cannot be; the message is one line that names it and says what is allowed."""


def _check_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-+\--~]+", key.get_secret_value()):
        raise ValueError("a key is made of visible ASCII characters other than the comma")
    return key


def _split(text: Any) -> Any:
    return re.split(r"[\s,]+", text.strip(", \t\r\n")) if isinstance(text, str) else text


def _check_host(name: str) -> str:
    if name != "*" and not re.fullmatch(r"[A-Za-z0-9._:-]+|\[[0-9A-Fa-f:.]+\]", name):
        raise ValueError("a host is a name or an address without scheme and port, or *")
    return name.lower().strip("[]")


def _check_origin(origin: str) -> str:
    if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9._\[\]:-]+", origin):
        raise ValueError("an origin is http:// or https:// and a host, with a port if it has one, or *")
    return origin.lower()


def _check_path(path: str) -> str:
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError("a prefix begins with a slash and ends without one, such as /latent")
    return path


Key = Annotated[SecretStr, AfterValidator(_check_key)]
Host = Annotated[str, AfterValidator(_check_host)]
Origin = Annotated[str, AfterValidator(_check_origin)]


class Settings(BaseSettings):
    """Serve checkpoints over HTTP. Every flag is an environment variable too: LATENT_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="LATENT_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="Port to listen on, 0 for any free one; if it is not given, PORT counts.",
    )
    workers: int = Field(
        1, ge=1, le=256, description="Worker processes; more than one per core does not help."
    )
    checkpoints: Path = Field(
        Path("checkpoints"),
        description="Folder that holds <name>/<version>/ checkpoints, or one name's versions, or one alone.",
    )
    keep_versions: int = Field(
        1,
        ge=1,
        le=100,
        description="Newest versions of each checkpoint that serve; the newest by name, all as name@version.",
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="What runs the graphs; cuda is this machine's GPU, see [gpu.md](gpu.md)."
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
    stuck_run_s: float = Field(
        4.0,
        gt=0,
        le=3600,
        description="Seconds before an inference run is aborted, if runs like it take a tenth at most.",
    )
    stuck_worker_s: float = Field(
        7.0,
        ge=3,
        le=3600,
        description="Seconds without a sign of life after which a worker is killed and replaced.",
    )
    header_timeout_s: float = Field(
        10.0, gt=0, le=3600, description="Seconds in which the head of a request has to arrive."
    )
    body_timeout_s: float = Field(
        25.0, gt=0, le=3600, description="Seconds in which the body of a request has to follow its head."
    )
    reader_timeout_s: float = Field(
        20.0, gt=0, le=3600, description="Seconds a client may take to read the next 64 KiB of its answer."
    )
    keep_alive_timeout_s: float = Field(
        75.0, gt=0, le=3600, description="Seconds a connection may idle before its next request begins."
    )
    max_connections: int = Field(
        900,
        ge=1,
        le=1_000_000,
        description="Connections all workers hold, if they may open as many files; "
        "one more ends the one that idles longest.",
    )
    max_header_bytes: int = Field(32 << 10, ge=1024, description="Bytes the head of a request may hold.")
    max_body_bytes: int = Field(32 << 20, ge=1, description="Bytes a request body may hold.")
    max_held_bytes: int = Field(
        256 << 20,
        ge=1,
        description="Bytes of request bodies that one worker holds at once, and as many of unread answers.",
    )
    max_images: int = Field(256, ge=1, le=65536, description="Images one request may carry.")
    max_image_pixels: int = Field(
        50_000_000, ge=1, description="Pixels one image may have before it is resized."
    )
    max_count: int = Field(1024, ge=1, le=65536, description="Images one request may ask for.")
    max_stream_images: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="Images one stream of lines (application/x-ndjson) may carry, in or out.",
    )
    queue_rows: int = Field(
        4096, ge=1, description="Rows that may wait for one graph before requests get 429."
    )
    drift_rows: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Newest latents kept per model, up to 500 of which are compared; 0 keeps none.",
    )
    drift_interval_s: float = Field(
        60.0, gt=0, le=86_400, description="Seconds between looks at the drift for /metrics."
    )
    log_format: Literal["line", "json"] = Field(
        "line", description="Form of the log: lines to read, or one JSON object a line."
    )
    log_requests_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the answered requests that is logged; those refused or failed always are.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )
    api_keys: CliSuppress[Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_split)]] = Field(
        (), description="Keys, with commas between them, one of which every request then has to carry."
    )
    api_keys_file: Path | None = Field(
        None, description="File of API keys, one per line, in the place of LATENT_API_KEYS."
    )
    admin_key: CliSuppress[Key | None] = Field(
        None, description="Key that loads and unloads models; without it nobody can."
    )
    admin_key_file: Path | None = Field(
        None, description="File that holds the admin key, in the place of LATENT_ADMIN_KEY."
    )
    metrics_key: CliSuppress[Key | None] = Field(
        None, description="Key that reads /metrics and nothing else; API keys read it too."
    )
    metrics_key_file: Path | None = Field(
        None, description="File that holds the metrics key, in the place of LATENT_METRICS_KEY."
    )
    allow_no_key: bool = Field(
        False,
        description="Serve without API keys beyond loopback; only for networks that are closed otherwise.",
    )
    allowed_hosts: Annotated[tuple[Host, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Names in the Host header that are answered, * for any; if none is given, those of "
        "loopback where the service listens on loopback, else any.",
    )
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="Origins of other pages that may use the API, such as https://example.com; * for any."
    )
    frame_ancestors: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="Origins of pages that may show the playground and the docs in a frame; * for any."
    )
    root_path: Annotated[str, AfterValidator(_check_path)] = Field(
        "",
        description="Prefix of all paths that a proxy in front passes on, such as /latent; one that it "
        "strips needs no setting.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Take in keys from files once, so that a worker that is started later has no others."""
        for name in SECRETS:
            path = given.get(f"{name}_file")
            if path and given.get(name):
                raise ValueError(f"{name}: the keys are given twice, themselves and by {name}_file")
            if path:
                given = {**given, name: _read(Path(path), f"{name}_file")}
        return given

    @model_validator(mode="before")
    @classmethod
    def _take_port(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Listen where the platform says, if nobody else does."""
        port = os.environ.get("PORT")
        return {"port": port, **given} if port else given

    @property
    def listens_on_loopback(self) -> bool:
        """Return whether only this machine can reach the service."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if not (self.api_keys or self.allow_no_key or self.listens_on_loopback):
            raise ValueError(
                "host: without API keys only a loopback address is served, unless allow_no_key is true"
            )
        if self.stuck_worker_s < self.stuck_run_s + 2:
            raise ValueError("stuck_worker_s: must leave stuck_run_s and 2 s more, for a run to be cut off")
        if self.max_held_bytes < self.max_body_bytes:
            raise ValueError("max_held_bytes: must hold one whole body, at least max_body_bytes")
        if self.queue_rows < max(self.max_count, self.max_images):
            raise ValueError("queue_rows: must hold one whole request, at least max_count and max_images")
        return self


def _read(path: Path, name: str) -> str:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{name}: the file cannot be read as ASCII text") from None
    if not text:
        raise ValueError(f"{name}: the file holds no key")
    return text


def is_loopback(host: str) -> bool:
    """Return whether a host name or an address is that of the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
