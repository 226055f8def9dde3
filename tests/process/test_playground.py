"""The playground used as a person would, in a real browser with the shipped checkpoints and no internet."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from support.browser import Visit
from support.service_process import ROOT, ServiceProcess

WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
Scheme = Literal["light", "dark"]
PANELS = ("latents", "map", "generate", "translate", "compare", "models")
SERIOUS = {"serious", "critical"}


@contextmanager
def visiting(browser: Browser, url: str, viewport: ViewportSize, scheme: Scheme) -> Iterator[Visit]:
    """Open a page; at its end it must have complained of nothing and asked nobody else for anything."""
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    visit = Visit(page, url)
    yield visit
    assert visit.foreign == []
    assert visit.errors == []
    page.close()


@pytest.fixture
def visit(browser: Browser, shipped: ServiceProcess) -> Iterator[Visit]:
    with visiting(browser, shipped.url, WIDE, "light") as opened:
        yield opened


@pytest.fixture(params=[(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def either(browser: Browser, shipped: ServiceProcess, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A wide window in light colours, and a phone in dark ones."""
    with visiting(browser, shipped.url, *request.param) as opened:
        yield opened


def show(visit: Visit, address: str) -> Page:
    """Open a panel by its address and wait until it has drawn itself."""
    visit.page.goto(f"{visit.own}/playground#{address}")
    expect(visit.page.locator("main h1")).to_be_visible()
    visit.page.wait_for_load_state("networkidle")
    return visit.page


def source(image: Locator, not_this: str | None = None) -> str:
    """Return what an image shows as soon as it shows something, and something else than `not_this`."""
    expect(image).to_have_attribute("src", re.compile("^(data|blob):"))
    if not_this is not None:
        expect(image).not_to_have_attribute("src", not_this)
    return image.get_attribute("src") or ""


def photograph() -> bytes:
    """Return a colour image of a light disc on a dark ground, as a camera might give it."""
    y, x = np.mgrid[:90, :120]
    disc = ((x - 60) ** 2 + (y - 45) ** 2 < 900)[..., None] * np.array([200, 180, 90], np.uint8)
    file = io.BytesIO()
    Image.fromarray(disc.astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


def test_the_root_leads_to_the_playground(visit: Visit) -> None:
    visit.page.goto(f"{visit.own}/")
    expect(visit.page).to_have_url(re.compile(r"/playground(#latents.*)?$"))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_fits_its_window_and_has_no_serious_finding_of_axe(either: Visit, panel: str) -> None:
    page = show(either, panel)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    found = Axe().run(page).response["violations"]
    assert [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in SERIOUS
    ] == []


def test_a_dragged_number_changes_the_image(visit: Visit) -> None:
    page = show(visit, "latents")
    after = page.get_by_alt_text("the image its latent gives")
    first = source(after)
    expect(page.locator(".figures")).to_contain_text("mean squared error")
    bar = page.get_by_label("z1", exact=True)
    bar.focus()
    for _ in range(40):
        bar.press("ArrowRight")
    second = source(after, not_this=first)
    assert "latent=" in page.url
    page.get_by_role("button", name="Back to the image").click()
    source(after, not_this=second)


def test_a_dropped_photograph_is_encoded(visit: Visit) -> None:
    page = show(visit, "latents")
    after = page.get_by_alt_text("the image its latent gives")
    first = source(after)
    page.locator("input[type=file]").set_input_files(
        {"name": "disc.jpg", "mimeType": "image/jpeg", "buffer": photograph()}
    )
    source(after, not_this=first)


def test_a_latent_in_the_address_is_restored(visit: Visit) -> None:
    page = show(visit, "latents")
    first = source(page.get_by_alt_text("the image its latent gives"))
    page.get_by_role("button", name="All zero").click()
    zero = source(page.get_by_alt_text("the image its latent gives"), not_this=first)
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_alt_text("the image its latent gives")).to_have_attribute("src", zero)


def test_a_broken_image_is_told_in_words(visit: Visit) -> None:
    page = show(visit, "latents")
    visit.tolerated.append("422")
    page.locator("input[type=file]").set_input_files(
        {"name": "cut.jpg", "mimeType": "image/jpeg", "buffer": photograph()[:300]}
    )
    expect(page.get_by_role("alert")).to_be_visible()


def test_a_class_a_count_and_a_seed_are_drawn_and_the_link_draws_them_again(visit: Visit) -> None:
    page = show(visit, "generate")
    page.get_by_role("button", name="Ankle boot", exact=True).click()
    page.get_by_role("slider", name="Images").fill("5")
    page.get_by_label("First seed").fill("7")
    tiles = page.locator(".tile img")
    expect(tiles).to_have_count(5)
    expect(tiles.first).to_have_attribute("alt", "Ankle boot, seed 7")
    drawn, address = source(tiles.nth(2)), page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator(".tile img").nth(2)).to_have_attribute("src", drawn)


def test_a_drawn_image_is_downloaded_and_its_request_copied(visit: Visit) -> None:
    page = show(visit, "generate?seed=3&count=2")
    page.locator(".tile").nth(1).click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download PNG").click()
    with Image.open(waiting.value.path()) as image:
        assert image.size == (28, 28)
    page.get_by_role("button", name="curl").click()
    expect(page.locator(".snippet")).to_contain_text('"seed":4')


def test_a_drawing_is_translated_while_it_grows(either: Visit) -> None:
    page = show(either, "translate?way=edges-photos/photos")
    there = page.get_by_alt_text("its translation")
    first = source(there)
    pad = page.locator("canvas.pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 70, steps=5)
    second = source(there, not_this=first)
    page.mouse.move(box["x"] + 170, box["y"] + 200, steps=5)
    page.mouse.up()
    source(there, not_this=second)
    expect(page.locator(".figures")).to_contain_text("there and back")


def test_another_translation_is_chosen(visit: Visit) -> None:
    page = show(visit, "translate")
    first = source(page.get_by_alt_text("its translation"))
    page.get_by_role("combobox", name="Translation").select_option("bags-boots/boots")
    page.get_by_label("Sample image 17").click()
    source(page.get_by_alt_text("its translation"), not_this=first)
    assert "bags-boots" in page.url


def test_every_model_has_a_card_with_its_preview(visit: Visit, shipped: ServiceProcess) -> None:
    page = show(visit, "models")
    names = [one["name"] for one in shipped.get("/models").json()["models"]]
    expect(page.locator(".card")).to_have_count(len(names))
    for name in names:
        card = page.get_by_role("article", name=name, exact=True)
        card.scroll_into_view_if_needed()
        image = card.locator("img")
        expect(image).to_be_visible()
        page.wait_for_function("one => one.complete && one.naturalWidth", arg=image.element_handle())


def test_all_panels_are_reached_with_the_keyboard(visit: Visit) -> None:
    page = show(visit, "latents")
    for panel in PANELS[1:]:
        page.locator(f"nav a[href='#{panel}']").focus()
        page.keyboard.press("Enter")
        expect(page.locator(f".panel.{panel} h1")).to_be_visible()


def test_a_panel_that_is_ready_late_lets_its_reader_go_on(visit: Visit) -> None:
    """The map reads its images last: just then the reader goes on, and the address must stay theirs."""
    visit.page.add_init_script(
        """
        const read = createImageBitmap;
        window.createImageBitmap = async (...given) => {
            const images = await read(...given);
            location.hash = "generate";
            return images;
        };
        """
    )
    visit.page.goto(f"{visit.own}/playground#map")
    expect(visit.page.locator(".panel.generate h1")).to_be_visible()
    expect(visit.page.locator(".tile img")).to_have_count(24)
    assert "#generate" in visit.page.url


def test_panels_passed_over_in_a_hurry_leave_nothing_running(visit: Visit) -> None:
    page = show(visit, "latents")
    page.evaluate("for (const panel of ['models', 'map', 'models']) location.hash = panel")
    expect(page.locator(".panel.models h1")).to_be_visible()
    page.evaluate("location.hash = 'compare'")
    expect(page.locator(".panel.compare h1")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)  # the page of models asks every two seconds how busy they are
    assert [url for url in asked if "/metrics" in url] == []


def test_a_service_that_is_gone_is_told_in_words(browser: Browser, shipped: ServiceProcess) -> None:
    page = browser.new_page()
    visit = Visit(page, shipped.url)
    show(visit, "generate")
    page.route("**/generate", lambda route: route.abort())
    page.get_by_role("button", name="Roll").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.close()


def test_with_keys_the_page_asks_for_one_and_shows_images(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("first\nsecond\n")
    log = tmp_path / "service.log"
    with ServiceProcess(ROOT / "checkpoints", log, api_keys_file=tmp_path / "keys") as process:
        page = browser.new_page()
        visit = Visit(page, process.url)
        visit.tolerated.append("401")
        page.goto(process.url + "/playground#models")
        page.get_by_label("API key").fill("second")
        page.get_by_role("button", name="Open").click()
        image = page.get_by_role("article", name="fashion-vae", exact=True).locator("img")
        page.wait_for_function("one => one.naturalWidth", arg=image.element_handle())
        assert visit.errors == []
        page.close()


def test_a_place_of_the_map_becomes_an_image_and_two_become_a_walk(visit: Visit) -> None:
    page = show(visit, "map")
    plane = page.locator("canvas.plane")
    expect(plane).to_have_attribute("data-ready", "fashion-vae")
    images = page.get_by_label("Images", exact=True).get_by_role("img")
    expect(images).to_have_count(1)
    first = source(images.first)
    plane.click(position={"x": 200, "y": 120})
    second = source(images.first, not_this=first)
    plane.click(position={"x": 90, "y": 200})
    expect(images).to_have_count(9)
    assert source(images.first) == second
    plane.click(position={"x": 90, "y": 220})
    expect(images).to_have_count(1)
    link = page.url
    assert "a=" in link
    shown = source(images.first)
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_alt_text("The image of this place")).to_have_attribute("src", shown)


def test_the_map_shows_the_image_under_the_pointer_by_mouse_and_by_keys(visit: Visit) -> None:
    page = show(visit, "map")
    plane = page.locator("canvas.plane")
    expect(plane).to_have_attribute("data-ready", "fashion-vae")
    box = plane.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".under")).to_contain_text("training image")
    page.mouse.wheel(0, -400)
    plane.focus()
    for key in ("ArrowLeft", "ArrowUp", "+", "-", "Enter", "ArrowLeft", "Enter"):
        plane.press(key)
    expect(page.get_by_label("Images", exact=True).get_by_role("img")).to_have_count(9)
    page.get_by_role("button", name="Bag", exact=True).click()
    expect(page.get_by_role("button", name="Bag", exact=True)).to_have_attribute("aria-pressed", "false")


def test_an_image_finds_its_place_and_its_neighbours(visit: Visit) -> None:
    page = show(visit, "map")
    page.get_by_label("Sample image 17", exact=True).click()
    near = page.get_by_label("Nearest training images").get_by_role("img")
    expect(near).to_have_count(6)
    assert near.first.get_attribute("alt") == "Bag"


def test_the_map_is_drawn_anew_sixty_times_a_second(visit: Visit) -> None:
    page = show(visit, "map")
    expect(page.locator("canvas.plane")).to_have_attribute("data-ready", "fashion-vae")
    box = page.locator("canvas.plane").bounding_box()
    assert box
    page.evaluate(
        """() => {
            window.spent = [];
            const ask = window.requestAnimationFrame.bind(window);
            window.requestAnimationFrame = (work) => ask((now) => {
                const started = performance.now();
                work(now);
                window.spent.push(performance.now() - started);
            });
        }"""
    )
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    for step in range(40):
        page.mouse.move(box["x"] + 100 + 4 * step, box["y"] + 100 + 2 * step)
    page.mouse.up()
    spent = sorted(page.evaluate("window.spent"))
    assert len(spent) > 10
    assert spent[len(spent) // 2] < 1000 / 60  # the work of a frame; what else the machine does is not ours


def test_sets_are_compared_with_the_training_images_and_with_each_other(visit: Visit, tmp_path: Path) -> None:
    page = show(visit, "compare")
    expect(page.get_by_text("Give a first set")).to_be_visible()
    page.get_by_role("region", name="Set A").get_by_role("button", name="The samples").click()
    expect(page.locator(".verdict")).to_contain_text("No difference is seen")
    files = []
    for number in range(20):
        level = 255 - 3 * number
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((28, 28), level, np.uint8)).save(path)
        files.append(path)
    page.get_by_label("Files of Set B").set_input_files(files)
    expect(page.locator(".verdict")).to_contain_text("Yes, the two sets differ")
    expect(page.locator("tbody tr")).to_have_count(4)


def test_files_that_are_no_images_are_told_in_words(visit: Visit, tmp_path: Path) -> None:
    page = show(visit, "compare")
    (tmp_path / "notes.txt").write_text("no image")
    page.get_by_label("Files of Set A").set_input_files(tmp_path / "notes.txt")
    expect(page.locator("#toast")).to_contain_text("no PNG, JPEG or WebP")
