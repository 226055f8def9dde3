"""The documentation in a real browser, which may talk to nothing but the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from support.browser import LIMIT_MS, Visit, try_out
from support.service_process import ServiceProcess


@pytest.fixture
def visit(browser: Browser, fashion: ServiceProcess) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    visit = Visit(page, fashion.url)
    page.goto(f"{fashion.url}/docs")
    yield visit
    page.close()


@pytest.mark.parametrize(
    "operation",
    [
        "latent_space-generate",
        "latent_space-encode",
        "models-list_models",
    ],
)
def test_a_route_can_be_tried_out_with_no_internet(visit: Visit, operation: str, tmp_path: Path) -> None:
    try_out(visit.page, operation)
    visit.page.screenshot(path=tmp_path / "docs.png")
    assert visit.foreign == []
    assert visit.errors == []


def test_all_routes_are_shown(visit: Visit) -> None:
    expect(visit.page.locator(".opblock")).to_have_count(19, timeout=LIMIT_MS)
    assert visit.foreign == []
    assert visit.errors == []
