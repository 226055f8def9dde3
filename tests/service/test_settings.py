"""Settings: flags, environment variables, and one clear line for what cannot be."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.command_line import read_settings
from service.settings import SECRETS, BadSetting, Settings
from support.service_process import ROOT
from tools import settings_page


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LATENT_{name.upper()}", raising=False)
    monkeypatch.delenv("PORT", raising=False)


def test_defaults_are_those_of_the_design():
    settings = read_settings([])
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert (str(settings.checkpoints), settings.reload_interval_s, settings.max_count) == (
        "checkpoints",
        2,
        1024,
    )


def test_every_setting_is_a_flag_and_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("keys", "admin", "metrics"):
        (tmp_path / name).write_text("one\n")
    values = {
        "host": "localhost",
        "port": "9000",
        "workers": "3",
        "checkpoints": "elsewhere",
        "keep_versions": "2",
        "reload_interval_s": "0.5",
        "drain_delay_s": "4.0",
        "request_timeout_s": "7.0",
        "stuck_run_s": "3.0",
        "stuck_worker_s": "5.5",
        "header_timeout_s": "5.0",
        "body_timeout_s": "6.0",
        "reader_timeout_s": "8.0",
        "keep_alive_timeout_s": "9.0",
        "max_connections": "12",
        "max_header_bytes": "2048",
        "max_body_bytes": "1000",
        "max_held_bytes": "5000",
        "max_images": "10",
        "max_image_pixels": "2000",
        "max_count": "11",
        "max_stream_images": "12",
        "queue_rows": "30",
        "drift_rows": "40",
        "drift_interval_s": "2.0",
        "log_format": "json",
        "log_requests_share": "0.25",
        "log_level": "debug",
        "api_keys_file": str(tmp_path / "keys"),
        "admin_key_file": str(tmp_path / "admin"),
        "metrics_key_file": str(tmp_path / "metrics"),
        "allow_no_key": "True",
        "allowed_hosts": "localhost",
        "allowed_origins": "https://example.com:8443",
        "frame_ancestors": "https://example.com",
        "root_path": "/latent",
    }
    other_device = {"device"}  # the other one needs another build of ONNX Runtime: test_gpu.py
    assert values.keys() == Settings.model_fields.keys() - SECRETS - other_device
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value != "True"]
    from_flags = read_settings([*flags, "--allow-no-key"])
    for name, value in values.items():
        monkeypatch.setenv(f"LATENT_{name.upper()}", value)
    shown = from_flags.model_dump(exclude={*SECRETS, *other_device})
    lists = ("allowed_hosts", "allowed_origins", "frame_ancestors")
    found = {name: value[0] if name in lists else str(value) for name, value in shown.items()}
    assert found == values
    assert read_settings([]) == from_flags


def test_hosts_and_origins_may_be_several(monkeypatch: pytest.MonkeyPatch):
    several = ["--allowed-hosts=LocalHost,[::1]", "--allowed-origins", "https://a.com, http://b.com:81"]
    settings = read_settings(several)
    assert settings.allowed_hosts == ("localhost", "::1")
    assert settings.allowed_origins == ("https://a.com", "http://b.com:81")
    monkeypatch.setenv("LATENT_ALLOWED_HOSTS", "a, b")
    assert read_settings([]).allowed_hosts == ("a", "b")


def test_settings_cannot_be_changed():
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_every_setting_explains_itself():
    for name, field in Settings.model_fields.items():
        assert re.fullmatch(r"[A-Z].*\.", field.description or ""), name


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_key(host: str):
    assert read_settings(["--host", host]).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_beyond_loopback_needs_a_key_or_an_explicit_word(host: str):
    with pytest.raises(BadSetting, match=r"host: .* allow_no_key"):
        read_settings(["--host", host])
    assert read_settings(["--host", host, "--allow-no-key"]).host == host


def test_keys_take_the_place_of_the_explicit_word(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_API_KEYS", "one")
    assert read_settings(["--host", "0.0.0.0"]).host == "0.0.0.0"


def test_an_admin_key_alone_does_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_ADMIN_KEY", "one")
    with pytest.raises(BadSetting, match="without API keys"):
        read_settings(["--host", "0.0.0.0"])


def revealed(settings: Settings) -> list[str]:
    return [key.get_secret_value() for key in settings.api_keys]


def test_keys_come_from_a_variable_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("LATENT_API_KEYS", "one,two, three")
    assert revealed(read_settings([])) == ["one", "two", "three"]
    monkeypatch.delenv("LATENT_API_KEYS")
    (tmp_path / "keys").write_text("four\n\nfive\r\n")
    assert revealed(read_settings(["--api-keys-file", str(tmp_path / "keys")])) == ["four", "five"]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "the file cannot be read as ASCII text"), (b"", "holds no key"), (b"\n \n", "holds no key")],
)
def test_a_file_without_keys_opens_nothing(tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(BadSetting, match=message):
        read_settings([f"--{name.replace('_', '-')}-file", str(tmp_path / "keys")])


def test_keys_given_twice_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "keys").write_text("one")
    monkeypatch.setenv("LATENT_API_KEYS", "two")
    with pytest.raises(BadSetting, match="given twice"):
        read_settings(["--api-keys-file", str(tmp_path / "keys")])


def test_the_page_of_settings_is_what_the_code_says():
    assert settings_page.page() == (ROOT / "docs" / "settings.md").read_text()


def test_every_number_on_the_page_has_its_unit_and_its_bounds():
    for name, field in Settings.model_fields.items():
        if field.annotation in (int, float) and name != "port":
            assert settings_page.unit(name), name
            assert field.metadata, name
