"""A real browser that talks to nothing but the service, for tests of its pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIMIT_MS = 30_000
"""What a page may take before a test gives up: machines that run tests are busy."""


@contextmanager
def launched(chromium: str, *arguments: str) -> Iterator[Browser]:
    """Start the Chromium at this path, with more arguments if there are any."""
    expect.set_options(timeout=LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


class Visit:
    """A page, with what it asked of others and what it complained about."""

    def __init__(self, page: Page, own: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.own = own
        self.tolerated: list[str] = []
        """Words of complaints that a test provokes."""
        page.set_default_timeout(LIMIT_MS)
        page.route("**/*", self._guard)
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and not any(word in text for word in self.tolerated):
            self.errors.append(text)

    def _guard(self, route: Route) -> None:
        url = route.request.url
        if url.startswith((self.own + "/", "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(url)
            route.abort()


def try_out(page: Page, operation: str) -> None:
    """Try a route out on the page of docs, with its own example, and expect 200."""
    block = page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    status = block.locator(".live-responses-table .response-col_status").nth(1)
    expect(status).to_have_text("200", timeout=LIMIT_MS)
