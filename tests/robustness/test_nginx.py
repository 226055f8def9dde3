"""A real nginx in front: every form of request, and the pages, under a prefix that it strips or keeps."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from service.settings import Settings
from support import image_files
from support.browser import Visit, launched, try_out
from support.coloured_versions import write_version
from support.nginx import PREFIX, SHIPPED, nginx_before
from support.service_process import ServiceProcess, StartService
from support.tiny_shipped_checkpoints import write_fashion

IMAGE = image_files.file(image_files.photo(28, 28, "L"))
PNG = {"content-type": "image/png"}
CHUNK = 1 << 16


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium."""
    with launched(chromium) as started:
        yield started


@pytest.fixture(params=[True, False], ids=["stripped", "kept"])
def strips(request: pytest.FixtureRequest) -> bool:
    """Whether nginx takes the prefix off."""
    return bool(request.param)


@pytest.fixture(params=[1, 2])
def site(
    tmp_path: Path, start_service: StartService, nginx: str, strips: bool, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address, with its prefix, of a service behind nginx."""
    write_fashion(tmp_path / "checkpoints")
    service = start_service(workers=request.param, root_path=None if strips else PREFIX)
    with nginx_before(nginx, tmp_path / "nginx", [port_of(service)], strips_prefix=strips) as url:
        yield url


def port_of(service: ServiceProcess) -> int:
    return int(service.url.rpartition(":")[2])


def pieces(content: bytes) -> Iterator[bytes]:
    """Yield a body piece by piece, which makes it chunked."""
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]


def test_every_form_of_request_comes_through(site: str):
    large = image_files.file(image_files.photo(2000, 1500), "PNG")
    with httpx.Client(timeout=30) as client:
        for image in (IMAGE, large):
            whole = client.post(f"{site}/encode", content=image, headers=PNG)
            chunked = client.post(f"{site}/encode", content=pieces(image), headers=PNG)
            assert (whole.status_code, chunked.json()["latents"]) == (200, whole.json()["latents"])
        for path in ("/models", "/docs", "/playground", "/openapi.json", "/models/fashion-vae/map"):
            head, get = client.head(site + path), client.get(site + path)
            assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
            assert head.headers["content-type"] == get.headers["content-type"]
        assert client.options(f"{site}/encode").headers["allow"] == "POST"
        assert client.get(f"{site}/models/").json()["models"] == client.get(f"{site}/models").json()["models"]
        of_lines = {"accept": "application/x-ndjson"}
        lines = client.post(f"{site}/generate", json={"count": 300}, headers=of_lines)
        assert len(lines.text.splitlines()) == 301
        assert client.post(f"{site}/decode", json={"latents": 1}).status_code == 422
        assert client.get(f"{site}/nowhere").headers["content-type"] == "application/problem+json"


def test_it_waits_for_a_body_that_is_announced(site: str):
    url = httpx.URL(site)
    head = f"POST {url.path}/encode HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Type: image/png\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=20) as wire:
        wire.sendall(f"{head}Content-Length: {len(IMAGE)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert wire.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(IMAGE)
        assert wire.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


def test_every_link_of_the_pages_stays_below_the_prefix(site: str):
    with httpx.Client(follow_redirects=True, timeout=30) as client:
        for path in ("", "/", "/playground", "/playground/"):
            assert str(client.get(site + path).url).endswith(f"{PREFIX}/playground")
        assert str(client.get(f"{site}/docs/").url).endswith(f"{PREFIX}/docs")
        for page in ("playground", "docs"):
            links = re.findall(r'(?:href|src)="([^"#]+)"', client.get(f"{site}/{page}").text)
            assert len(links) >= 3
            for link in links:
                assert client.get(httpx.URL(f"{site}/{page}").join(link)).status_code == 200, link


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    visit = Visit(page, site)
    yield visit
    assert visit.foreign == []
    assert visit.errors == []
    page.close()


def test_the_docs_work_under_a_prefix(visit: Visit):
    visit.page.goto(f"{visit.own}/docs/")
    for operation in ("latent_space-generate", "models-list_models"):
        try_out(visit.page, operation)


def test_the_playground_works_under_a_prefix(visit: Visit):
    visit.page.goto(f"{visit.own}/")
    expect(visit.page).to_have_url(re.compile(rf"{PREFIX}/playground(#.*)?$"))
    image = visit.page.get_by_alt_text("the image its latent gives")
    expect(image).to_have_attribute("src", re.compile("^(data|blob):"))


def test_the_service_keeps_a_connection_for_longer_than_nginx_does():
    given = re.search(r"keepalive_timeout (\d+)s;", SHIPPED.read_text())
    assert given
    assert Settings().keep_alive_timeout_s > int(given[1]) + 10


def test_its_connections_are_used_again(tmp_path: Path, start_service: StartService, nginx: str):
    write_version(tmp_path, 1)
    service = start_service()
    with (
        nginx_before(nginx, tmp_path / "nginx", [port_of(service)], strips_prefix=True) as site,
        httpx.Client(timeout=30) as client,
    ):
        for _ in range(100):
            assert client.get(f"{site}/models").status_code == 200
    opened = re.findall(rf" 0100007F:{port_of(service):04X} 0100007F:\w+ ", Path("/proc/net/tcp").read_text())
    assert len(opened) < 10
