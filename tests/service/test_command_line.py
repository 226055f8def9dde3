"""The command line: flags over variables, and one line that says what is wrong with either."""

import re

import pytest

from service.command_line import read_settings
from service.settings import SECRETS, BadSetting, Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LATENT_{name.upper()}", raising=False)
    monkeypatch.delenv("PORT", raising=False)


def test_flag_wins_over_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_PORT", "9000")
    assert read_settings(["--port", "9001"]).port == 9001


def test_a_platforms_port_counts_where_no_other_is_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PORT", "8080")
    assert read_settings([]).port == 8080
    assert read_settings(["--port", "9001"]).port == 9001
    monkeypatch.setenv("LATENT_PORT", "9000")
    assert read_settings([]).port == 9000
    monkeypatch.setenv("LATENT_PORT", "")
    assert read_settings([]).port == 8080
    monkeypatch.setenv("PORT", "")
    assert read_settings([]).port == 8000
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(BadSetting, match=r"--port \(or LATENT_PORT or PORT\): .* not 'http'"):
        read_settings([])


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_WORKERS", "")
    assert read_settings([]).workers == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "x"], r"--port \(or LATENT_PORT or PORT\): .* valid integer.*, not 'x'"),
        (
            ["--port", "65536"],
            r"--port \(or LATENT_PORT or PORT\): .* equal to 65535, not '65536'",
        ),
        (["--port", "-1"], r"--port .*"),
        (["--workers", "0"], r"--workers \(or LATENT_WORKERS\): .* greater than or equal to 1, not '0'"),
        (["--request-timeout-s", "nan"], r"--request-timeout-s .*"),
        (["--log-level", "loud"], r"--log-level .* 'debug', 'info', 'warning' or 'error', not 'loud'"),
        (["--prot", "1"], r"unrecognized arguments: --prot 1"),
        (["--port"], r"argument --port: expected one argument"),
        (["--queue-rows", "100"], r"queue_rows: must hold one whole request, .*"),
        (["--max-held-bytes", "1000"], r"max_held_bytes: must hold one whole body, .*"),
        (["--allowed-hosts", "http://a"], r"--allowed-hosts .*: a host is a name or an address.*"),
        (["--allowed-origins", "a.com"], r"--allowed-origins .*: an origin is http:// or https://.*"),
        (["--allowed-origins", "https://a.com/"], r"--allowed-origins .*: an origin is .*"),
        (["--frame-ancestors", "'self'; x"], r"--frame-ancestors .*: an origin is .*"),
        (["--root-path", "latent"], r"--root-path .*: a prefix begins with a slash .*, not 'latent'"),
        (["--root-path", "/latent/"], r"--root-path .*: a prefix .*"),
        (["--stuck-worker-s", "5"], r"stuck_worker_s: must leave stuck_run_s and 2 s more, .*"),
    ],
)
def test_bad_setting_is_one_line_that_names_it(arguments: list[str], message: str):
    with pytest.raises(BadSetting) as error:
        read_settings(arguments)
    assert re.fullmatch(message, str(error.value))


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("key", [",", "secr\u00e9t", "secret\x7f", " , "])
def test_a_key_that_cannot_be_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, key: str):
    monkeypatch.setenv(f"LATENT_{name.upper()}", key)
    with pytest.raises(BadSetting) as error:
        read_settings([])
    assert str(error.value) == (
        f"LATENT_{name.upper()}: a key is made of visible ASCII characters other than the comma"
    )


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("form", [["--{}=secret"], ["--{}", "secret"]])
def test_a_key_on_the_command_line_is_refused(name: str, form: list[str]):
    with pytest.raises(BadSetting, match="can read a command line") as error:
        read_settings([word.format(name.replace("_", "-")) for word in form])
    assert "secret" not in str(error.value)


def test_keys_are_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("LATENT_API_KEYS", "first-secret,second-secret")
    monkeypatch.setenv("LATENT_ADMIN_KEY", "third-secret")
    monkeypatch.setenv("LATENT_METRICS_KEY", "fourth-secret")
    settings = read_settings([])
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    for shown in (repr(settings), str(settings), settings.model_dump_json(), capsys.readouterr().out):
        assert "secret" not in shown.replace("SecretStr", "")
