"""The documentation in a real browser, which may talk to nothing but the service."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from process import ServiceProcess

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIMIT_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs Chromium")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


class Visit:
    """A page, with what it asked of others and what it complained about."""

    def __init__(self, page: Page, own: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self._own = own
        page.set_default_timeout(LIMIT_MS)
        page.route("**/*", self._guard)
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _guard(self, route: Route) -> None:
        url = route.request.url
        if url.startswith((self._own + "/", "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(url)
            route.abort()


@pytest.fixture
def visit(browser: Browser, fashion: ServiceProcess) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    visit = Visit(page, fashion.url)
    page.goto(f"{fashion.url}/docs")
    yield visit
    page.close()


def execute(page: Page, operation: str) -> None:
    """Try a route out with its own example and expect 200."""
    block = page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table .response-col_status").nth(1)).to_have_text(
        "200", timeout=LIMIT_MS
    )


@pytest.mark.parametrize(
    "operation",
    [
        "latent_space-generate",
        "latent_space-encode",
        "models-list_models",
    ],
)
def test_a_route_can_be_tried_out_with_no_internet(visit: Visit, operation: str, tmp_path: Path) -> None:
    execute(visit.page, operation)
    visit.page.screenshot(path=tmp_path / "docs.png")
    assert visit.foreign == []
    assert visit.errors == []


def test_all_routes_are_shown(visit: Visit) -> None:
    expect(visit.page.locator(".opblock")).to_have_count(12, timeout=LIMIT_MS)
    assert visit.foreign == []
    assert visit.errors == []
