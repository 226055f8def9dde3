"""Which names the service answers to, and which pages may post to it."""

from typing import Any

import pytest

from service.errors import Forbidden, WrongHost
from service.http.origins import UNCHECKED, Origins
from service.settings import Settings

OWN = (
    "localhost:8000",
    "localhost",
    "LOCALHOST:8000",
    "127.0.0.1:8000",
    "127.9.9.9",
    "[::1]:8000",
    "a.localhost",
)
FOREIGN = (
    "attacker.example:8000",
    "192.168.1.2:8000",
    "localhost.attacker.example",
    "127.0.0.1.nip.io",
    "[::2]",
    "x:y",
)
ALLOWED = "https://example.com"


def check(
    path: str = "/models", method: str = "GET", headers: dict[str, str] | None = None, **settings: Any
) -> None:
    found = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    Origins(Settings(**settings)).check({"path": path, "method": method, "headers": found})


@pytest.mark.parametrize("host", OWN)
def test_on_loopback_its_names_are_answered(host: str) -> None:
    check(headers={"host": host})


@pytest.mark.parametrize("host", FOREIGN)
def test_on_loopback_another_name_is_421(host: str) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(WrongHost):
            check(method=method, headers={"host": host})


@pytest.mark.parametrize("path", sorted(UNCHECKED))
def test_probes_come_by_any_name(path: str) -> None:
    check(path, headers={"host": "10.1.2.3:8000"})


def test_beyond_loopback_any_name_is_answered() -> None:
    check(headers={"host": "attacker.example"}, host="0.0.0.0", allow_no_key=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_names_that_are_given_are_the_only_ones(host: str) -> None:
    settings: dict[str, Any] = {"host": host, "allow_no_key": True, "allowed_hosts": "Latent.example, ::1"}
    for own in ("latent.example", "LATENT.example:80", "[::1]:8000"):
        check(headers={"host": own}, **settings)
    for other in ("localhost", "other.example"):
        with pytest.raises(WrongHost):
            check(headers={"host": other}, **settings)


def test_a_star_allows_any_name() -> None:
    check(headers={"host": "attacker.example"}, allowed_hosts="*")


OWN_PAGES: list[dict[str, str]] = [
    {},
    {"origin": "http://localhost:8000"},
    {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"origin": "https://example.com", "sec-fetch-site": "cross-site"},
    {"origin": "https://EXAMPLE.com"},
]
OTHER_PAGES: list[dict[str, str]] = [
    {"origin": "https://attacker.example"},
    {"origin": "null"},
    {"origin": "null", "sec-fetch-site": "cross-site"},
    {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    {"origin": "http://localhost:8000", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
    {"origin": "https://example.com.attacker.example"},
    {"origin": ""},
]


@pytest.mark.parametrize("headers", OWN_PAGES)
def test_own_and_allowed_pages_may_post(headers: dict[str, str]) -> None:
    check(method="POST", headers={"host": "localhost:8000", **headers}, allowed_origins=ALLOWED)


@pytest.mark.parametrize("headers", OTHER_PAGES)
def test_other_pages_may_not_post(headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        with pytest.raises(Forbidden, match="LATENT_ALLOWED_ORIGINS"):
            check(method=method, headers={"host": "localhost:8000", **headers}, allowed_origins=ALLOWED)


def test_what_runs_nothing_is_not_refused() -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        check(method=method, headers={"host": "localhost", "origin": "https://attacker.example"})


def test_a_star_lets_all_pages_post() -> None:
    for headers in OTHER_PAGES:
        check(method="POST", headers={"host": "localhost:8000", **headers}, allowed_origins="*")
