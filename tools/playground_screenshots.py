"""The playground as a person sees it: images for the README, and how fast it follows the hand.

    python tools/playground_screenshots.py docs

starts the service with the shipped checkpoints, opens panels in Chromium at 1440 and at 390 pixels, writes
`playground-<panel>-<width>.png` into the folder, and prints what it measured.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(1, str(Path(__file__).parent.parent / "tests"))

from support.browser import launched
from support.requirements import NEEDS
from support.service_process import ROOT, ServiceProcess

WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
COLOURS = 128
"""Of a saved image: flat pages need no more, and the repository keeps every one."""

CHANGES, FRAMES = 100, 120

DRAG = """async (changes) => {
    const bar = document.querySelector('.bars input[type=range]');
    const image = document.querySelector('img[alt="the image its latent gives"]');
    const times = [];
    for (let i = 0; i < changes; i++) {
        const before = image.src;
        const other = new Promise((done) => {
            const observer = new MutationObserver(() => {
                if (image.src !== before) { observer.disconnect(); done(); }
            });
            observer.observe(image, { attributes: true });
        });
        const started = performance.now();
        bar.value = i % 2 ? bar.min * 0.8 : bar.max * (0.3 + i / changes / 2);
        bar.dispatchEvent(new Event('input', { bubbles: true }));
        await other;
        await image.decode();
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - started);
    }
    return times;
}"""

ZOOM = """async (frames) => {
    const plane = document.querySelector('canvas.plane');
    const box = plane.getBoundingClientRect();
    const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    const times = [];
    for (let i = 0; i <= frames; i++) {
        const deltaY = i < frames / 2 ? -8 : 8;
        plane.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY, cancelable: true }));
        times.push(await new Promise(requestAnimationFrame));
    }
    return times.slice(1).map((time, i) => time - times[i]);
}"""


def open_panel(browser: Browser, url: str, panel: str, size: ViewportSize) -> Page:
    """Open a panel and wait until it has drawn itself."""
    page = browser.new_page(viewport=size, color_scheme="light" if size is WIDE else "dark")
    page.goto(f"{url}/playground#{panel}")
    page.locator("main h1").wait_for()
    if panel == "latents":
        page.locator(".bars input[type=range]").first.wait_for()
    if panel == "compare":
        page.get_by_role("region", name="Set A").get_by_role("button", name="The samples").click()
        page.locator(".verdict").wait_for()
    if panel == "map":
        page.locator("canvas.plane[data-ready]").wait_for()
        page.get_by_label("Sample image 17", exact=True).click()
        for x, y in ((150, 120), (300, 260)):
            page.locator("canvas.plane").click(position={"x": x * size["width"] / 1440 + 40, "y": y})
    page.wait_for_load_state("networkidle")
    return page


def keep(page: Page, path: Path) -> None:
    """Write what is seen without scrolling."""
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def line(what: str, times_ms: list[float]) -> str:
    """Return the middle and the slowest twentieth of some times."""
    slow = sorted(times_ms)[int(0.95 * len(times_ms))]
    return f"{what}: {median(times_ms):.1f} ms, 95% within {slow:.1f} ms, of {len(times_ms)}"


def main(folder: Path) -> None:
    """Write the images and print the times."""
    chromium = NEEDS["chromium"].find()
    if chromium is None:
        raise SystemExit(f"portrait: {NEEDS['chromium'].install}")
    with tempfile.TemporaryDirectory() as place, launched(chromium) as browser:
        log = Path(place) / "service.log"
        with ServiceProcess(ROOT / "checkpoints", log) as service:
            for size in (WIDE, PHONE):
                for panel in ("latents", "map", "compare"):
                    page = open_panel(browser, service.url, panel, size)
                    keep(page, folder / f"playground-{panel}-{size['width']}.png")
                    page.close()
            page = open_panel(browser, service.url, "latents", WIDE)
            print(line("a dragged number, until the new image is painted", page.evaluate(DRAG, CHANGES)))
            page = open_panel(browser, service.url, "map", WIDE)
            print(line("a frame of the map while it is zoomed", page.evaluate(ZOOM, FRAMES)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
