"""Settings: flags, environment variables, and one clear line for what cannot be."""

import re

import pytest
from pydantic import ValidationError

from service.settings import BadSetting, Settings, read_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LATENT_{name.upper()}", raising=False)


def test_defaults_are_those_of_the_design():
    settings = read_settings([])
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert (str(settings.checkpoints), settings.reload_interval_s, settings.max_count) == (
        "checkpoints",
        2,
        1024,
    )


def test_every_setting_is_a_flag_and_a_variable(monkeypatch: pytest.MonkeyPatch):
    values = {
        "host": "localhost",
        "port": "9000",
        "workers": "3",
        "checkpoints": "elsewhere",
        "reload_interval_s": "0.5",
        "drain_delay_s": "4.0",
        "request_timeout_s": "7.0",
        "max_body_bytes": "1000",
        "max_images": "10",
        "max_image_pixels": "2000",
        "max_count": "11",
        "queue_rows": "30",
        "log_level": "debug",
        "allow_no_key": "True",
    }
    assert values.keys() == Settings.model_fields.keys()
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value != "True"]
    from_flags = read_settings([*flags, "--allow-no-key"])
    for name, value in values.items():
        monkeypatch.setenv(f"LATENT_{name.upper()}", value)
    assert {name: str(value) for name, value in from_flags.model_dump().items()} == values
    assert read_settings([]) == from_flags


def test_flag_wins_over_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_PORT", "9000")
    assert read_settings(["--port", "9001"]).port == 9001


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_WORKERS", "")
    assert read_settings([]).workers == 1


def test_settings_cannot_be_changed():
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_every_setting_explains_itself():
    for name, field in Settings.model_fields.items():
        assert re.fullmatch(r"[A-Z].*\.", field.description or ""), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "x"], r"--port \(or LATENT_PORT\): .* valid integer.*, not 'x'"),
        (["--port", "65536"], r"--port \(or LATENT_PORT\): .* less than or equal to 65535, not '65536'"),
        (["--port", "-1"], r"--port .*"),
        (["--workers", "0"], r"--workers \(or LATENT_WORKERS\): .* greater than or equal to 1, not '0'"),
        (["--request-timeout-s", "nan"], r"--request-timeout-s .*"),
        (["--log-level", "loud"], r"--log-level .* 'debug', 'info', 'warning' or 'error', not 'loud'"),
        (["--prot", "1"], r"unrecognized arguments: --prot 1"),
        (["--port"], r"argument --port: expected one argument"),
        (["--queue-rows", "100"], r"queue_rows: must hold one whole request, .*"),
    ],
)
def test_bad_setting_is_one_line_that_names_it(arguments: list[str], message: str):
    with pytest.raises(BadSetting) as error:
        read_settings(arguments)
    assert re.fullmatch(message, str(error.value))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_key(host: str):
    assert read_settings(["--host", host]).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_beyond_loopback_needs_a_key_or_an_explicit_word(host: str):
    with pytest.raises(BadSetting, match=r"host: .* allow_no_key"):
        read_settings(["--host", host])
    assert read_settings(["--host", host, "--allow-no-key"]).host == host
