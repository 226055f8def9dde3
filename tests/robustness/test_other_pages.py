"""Pages of other sites in a real browser: they run nothing and read nothing, unless they are allowed to."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from service.http.origins import UNCHECKED
from support import image_files
from support.browser import LIMIT_MS, launched
from support.page_scripts import READ, SEE, WAYS
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

SURFACE = Path(__file__).parents[1] / "repository" / "surface.txt"
ROUTES = [line.split()[:2] for line in SURFACE.read_text().splitlines()]
KEY = "a-key"
OTHER, FRIEND, OWN, REBOUND = "other.example", "friend.example", "latent.example", "rebound.example"
ARGUMENTS = (
    f"--host-resolver-rules={','.join(f'MAP {name} 127.0.0.1' for name in (OTHER, FRIEND, OWN, REBOUND))}",
    "--disable-features=LocalNetworkAccessChecks",  # what we promise holds in browsers without them, too
)
IMAGE = base64.b64encode(image_files.file(image_files.photo(8, 8, "L"))).decode()
LATENT = [0.0] * 4
INFER = {"inputs": [{"name": "latents", "datatype": "FP32", "shape": [1, 4], "data": LATENT}]}
BODIES: dict[str, tuple[str, Any]] = {
    "/admin/models/{name}/load": ("/admin/models/vae/load", {}),
    "/admin/models/{name}/unload": ("/admin/models/vae/unload", {}),
    "/compare": ("/compare", {"a": [IMAGE, IMAGE], "b": [IMAGE, IMAGE]}),
    "/decode": ("/decode", {"latents": [LATENT]}),
    "/encode": ("/encode", {"images": [IMAGE]}),
    "/generate": ("/generate", {}),
    "/interpolate": ("/interpolate", {"stops": [{"seed": 1}, {"seed": 2}]}),
    "/neighbours": ("/neighbours", {"latents": [LATENT]}),
    "/reconstruct": ("/reconstruct", {"images": [IMAGE]}),
    "/remote-vae/{model}/decode": ("/remote-vae/vae/decode?shape=1&shape=4&dtype=float32", "\0" * 16),
    "/remote-vae/{model}/encode": ("/remote-vae/vae/encode", "\0" * 16),
    "/translate": ("/translate", {"images": [IMAGE], "to": "b"}),
    "/v1/embeddings": ("/v1/embeddings", {"input": f"data:image/png;base64,{IMAGE}"}),
    "/v1/images/edits": ("/v1/images/edits", {}),
    "/v1/images/variations": ("/v1/images/variations", {}),
    "/v1/images/generations": ("/v1/images/generations", {"prompt": "Bag"}),
    "/v2/models/{name}/infer": ("/v2/models/vae.decode/infer", INFER),
    "/v2/models/{name}/versions/{version}/infer": ("/v2/models/vae.decode/versions/1/infer", INFER),
    "/v2/repository/index": ("/v2/repository/index", {}),
    "/v2/repository/models/{name}/load": ("/v2/repository/models/vae/load", {}),
    "/v2/repository/models/{name}/unload": ("/v2/repository/models/vae/unload", {}),
}
"""What each route is sent, by its path on the list of the surface."""


class EmptyPage(BaseHTTPRequestHandler):
    """Answers everything with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body></body>")

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server of empty pages, which any site may be."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium in which all the names lead to this machine."""
    with launched(chromium, *ARGUMENTS) as started:
        yield started


@contextmanager
def page_at(browser: Browser, url: str) -> Iterator[Page]:
    """Open a page; it has no service worker, cookie or cache of another."""
    page = browser.new_page()
    page.set_default_timeout(LIMIT_MS)
    page.goto(url)
    yield page
    page.close()


@pytest.fixture
def start(tmp_path: Path, start_service: StartService) -> StartService:
    """Start a service with a model that does everything, which answers to OWN beside loopback."""
    write_tiny(
        tmp_path / "checkpoints",
        "vae",
        logvar=True,
        domains=("a", "b"),
        classes=("Bag", "Boot"),
        reference=("Bag", "Boot"),
        default_for=("encode", "decode", "generate", "translate"),
    )

    def started(keys: bool, **settings: Any) -> ServiceProcess:
        variables = {"LATENT_API_KEYS": KEY} if keys else {}
        return start_service(variables=variables, **settings)

    return started


def counted(service: ServiceProcess, what: str) -> float:
    """Return the sum of the metrics that begin so."""
    text = httpx.get(f"{service.url}/metrics", headers={"X-API-Key": KEY}).text
    return sum(map(float, re.findall(rf"^{what}.*\}} (\S+)$", text, re.M)))


def runs(service: ServiceProcess) -> float:
    """Return how often any graph has run."""
    return counted(service, r"latent_run_seconds_count\{")


def posts() -> Iterator[tuple[str, str]]:
    """Yield the path and the body, as text, of a POST to every route."""
    assert set(BODIES) == {path for method, path in ROUTES if method == "POST"}
    for path, body in BODIES.values():
        yield path, body if isinstance(body, str) else json.dumps(body)


def gets() -> Iterator[str]:
    """Yield the path of every route that is read."""
    for method, path in ROUTES:
        if method == "GET":
            yield re.sub(r"\{\w+\}", "vae", path.replace("{version}", "1"))


def read(page: Page, url: str, text: str | None = None, **headers: str) -> dict[str, Any]:
    """Return the answer that a page gets, or the error that it gets instead."""
    given = {"url": url, "method": "GET", "headers": headers}
    if text is not None:
        headers.setdefault("Content-Type", "application/json")
        given |= {"method": "POST", "body": text}
    answer: dict[str, Any] = page.evaluate(READ, given)
    return answer


@pytest.mark.parametrize("keys", [False, True], ids=["open", "keys"])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_page_of_another_site_runs_and_reads_nothing(
    browser: Browser, port: int, start: StartService, workers: int, keys: bool, measured: Measured
):
    service = start(
        keys, workers=workers, allowed_hosts=f"127.0.0.1,{OWN}", allowed_origins=f"http://{FRIEND}:{port}"
    )
    before, sent, asked, reads = runs(service), 0, 0, 0
    with page_at(browser, f"http://{OTHER}:{port}/") as page:
        for name in ("127.0.0.1", OWN):  # a browser says less of itself where it does not trust a name
            own = service.url.replace("127.0.0.1", name)
            for path, text in posts():
                sent += page.evaluate(WAYS, {"url": own + path, "text": text, "image": IMAGE})
                for headers in ({"Content-Type": "text/plain"}, {}, {"X-API-Key": KEY}):
                    assert read(page, own + path, text, **headers) == {"error": "TypeError"}
                sent, asked = sent + 1, asked + 2
            for path in gets():
                assert read(page, own + path) == {"error": "TypeError"}
                assert page.evaluate(SEE, own + path) == ["opaque", "", "none"], path
                reads += 3
        arrived = r'latent_requests_total\{.*method="POST"'
        wait_until(lambda: counted(service, arrived) >= sent, "all have arrived", 60)
    assert counted(service, arrived) == sent
    assert runs(service) == before
    words = f"{workers} worker(s), {'keys' if keys else 'no keys'}"
    measured(
        32,
        f"{words}: {sent:,} posts of another page and {asked} that ask first, none ran; "
        f"{reads} attempts to read, none succeeded",
    )


def test_the_posts_of_that_page_run_where_a_program_sends_them(start: StartService):
    """So it is the check that keeps them from running, and not what is in them."""
    service = start(False)
    with service.client() as client:
        plain = [
            client.post(path, content=text, headers={"content-type": "text/plain"}) for path, text in posts()
        ]
        form = client.post("/encode", files={"images": ("a.png", base64.b64decode(IMAGE), "image/png")})
    assert sum(answer.status_code == 200 for answer in (*plain, form)) >= 7, [one.text[:90] for one in plain]


@pytest.mark.parametrize("keys", [False, True], ids=["open", "keys"])
def test_a_rebound_name_gets_nothing(browser: Browser, start: StartService, keys: bool):
    """The page has a name of its own for the service's address: for the browser they are one site."""
    service = start(keys)
    before, rebound = runs(service), service.url.replace("127.0.0.1", REBOUND)
    with page_at(browser, f"{rebound}/models") as page:
        for path in gets():
            answer = read(page, rebound + path, **{"X-API-Key": KEY})
            assert answer["status"] == (200 if path in UNCHECKED else 421), path
        for path, text in posts():
            assert read(page, rebound + path, text, **{"X-API-Key": KEY})["status"] == 421
    assert runs(service) == before


@pytest.mark.parametrize("keys", [False, True], ids=["open", "keys"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_page_that_is_allowed_uses_the_service(
    browser: Browser, port: int, start: StartService, workers: int, keys: bool, measured: Measured
):
    service = start(keys, workers=workers, allowed_origins=f"https://a.example,http://{FRIEND}:{port}")
    own = {"X-API-Key": KEY} if keys else {}
    answered = 0
    with page_at(browser, f"http://{FRIEND}:{port}/") as page:
        for path, text in posts():
            if re.match("/(admin|v2/repository/models|remote-vae|v1/images/(edits|variations))", path):
                continue
            assert read(page, service.url + path, text, **own)["status"] == 200, path
            answered += 1
        for path in gets():
            assert "status" in read(page, service.url + path, **own), path
            answered += 1
        image = read(page, f"{service.url}/generate", '{"seed": 7}', Accept="image/png", **own)
        assert image["headers"]["x-latent-seeds"] == "7"
        refused = read(page, f"{service.url}/generate", '{"count": -1}', **own)
        assert (refused["status"], len(refused["headers"]["x-request-id"])) == (422, 16)
        if keys:
            assert read(page, f"{service.url}/generate", "{}")["status"] == 401
    words = f"{workers} worker(s), {'keys' if keys else 'no keys'}"
    measured(32, f"{words}: {answered} requests of an allowed page answered")


@pytest.mark.parametrize("path", ["/playground", "/docs"])
def test_pages_are_shown_in_frames_of_allowed_pages_alone(
    browser: Browser, port: int, start: StartService, path: str
):
    service = start(False, frame_ancestors=f"http://{FRIEND}:{port}")
    frame = f"document.body.innerHTML = '<iframe src=\"{service.url}{path}\"></iframe>'"
    with page_at(browser, f"http://{FRIEND}:{port}/") as page:
        page.evaluate(frame)
        expect(page.frame_locator("iframe").locator("h1, h2").first).to_be_visible()
    with page_at(browser, f"http://{OTHER}:{port}/") as page:
        page.evaluate(frame)
        page.wait_for_load_state("networkidle")
        assert page.frames[1].url.startswith("chrome-error:")


def test_its_own_page_works_by_a_name_that_a_browser_does_not_trust(browser: Browser, start: StartService):
    service = start(False, allowed_hosts=OWN)
    own = service.url.replace("127.0.0.1", OWN)
    with page_at(browser, f"{own}/playground#generate") as page:
        expect(page.locator("main img").first).to_have_attribute("src", re.compile("^(data|blob):"))
        assert read(page, f"{own}/generate", "{}")["status"] == 200
