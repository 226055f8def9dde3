"""HEAD, OPTIONS and a slash at the end of a path: what people expect of every route."""

import re
from pathlib import Path

import pytest
from httpx import Client

SURFACE = Path(__file__).parents[1] / "repository" / "surface.txt"
ROUTES = [line.split()[:2] for line in SURFACE.read_text().splitlines() if not line.startswith("MOUNT")]
PARAMETERS = {"name": "vae", "model": "vae", "version": "1"}
PAGES = ["/docs", "/playground"]
FILES = ["/docs/assets/swagger-ui.css", "/playground/app.js", "/docs/examples/image.png"]
CHANGING = {"date", "x-request-id", "content-length"}


def paths(method: str) -> list[str]:
    """Return the paths that take a method, with parameters that there are."""
    found = (path for given, path in ROUTES if given == method)
    return [re.sub(r"\{(\w+)\}", lambda match: PARAMETERS[match[1]], path) for path in found]


def shown(client: Client, method: str, path: str) -> tuple[int, dict[str, str]]:
    """Return the status and the headers that are the same each time."""
    answer = client.request(method, path, follow_redirects=False)
    assert method != "HEAD" or answer.content == b""
    return answer.status_code, {name: answer.headers[name] for name in answer.headers.keys() - CHANGING}


@pytest.mark.parametrize("path", [*paths("GET"), *FILES])
def test_head_answers_as_get_does_without_the_body(client: Client, path: str) -> None:
    assert shown(client, "HEAD", path) == shown(client, "GET", path)


@pytest.mark.parametrize("path", paths("POST"))
def test_head_of_what_takes_post_alone_is_405(client: Client, path: str) -> None:
    answer = client.head(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")


def test_head_tells_the_length(client: Client) -> None:
    for path in ("/health/live", "/models/vae/preview", "/docs", *FILES):
        assert client.head(path).headers["content-length"] == client.get(path).headers["content-length"]


def test_head_is_counted_under_its_route(client: Client) -> None:
    client.head("/models/vae")
    text = client.get("/metrics").text
    assert re.search(r'latent_requests_total\{.*method="HEAD".*route="/models/\{name\}".*\} [1-9]', text)


@pytest.mark.parametrize(("method", "allow"), [("GET", "GET, HEAD"), ("POST", "POST")])
def test_options_lists_the_methods(client: Client, method: str, allow: str) -> None:
    for path in [*paths(method), *(FILES if method == "GET" else ())]:
        answer = client.options(path)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allow, b""), path
    assert client.options("/nowhere").status_code == 404


@pytest.mark.parametrize("path", [path for path in paths("GET") if path not in ("/", *PAGES)])
def test_a_slash_at_the_end_of_what_is_read_changes_nothing(client: Client, path: str) -> None:
    assert shown(client, "GET", f"{path}/") == shown(client, "GET", path)


@pytest.mark.parametrize("path", paths("POST"))
def test_a_slash_at_the_end_of_what_is_posted_to_changes_nothing(client: Client, path: str) -> None:
    assert shown(client, "POST", f"{path}/") == shown(client, "POST", path)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_a_slash_leads_to_the_one_without(client: Client, path: str) -> None:
    answer = client.get(f"{path}/", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, path)
