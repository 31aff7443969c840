"""The page in a real browser: what a visitor does, and what is seen."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"{CHROMIUM} is absent; install Debian's package chromium", allow_module_level=True)

import uvicorn  # noqa: E402
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

from perceptmetrics import create_metric  # noqa: E402
from perceptmetrics.apps.demo import DemoLimits, Studio, offers  # noqa: E402
from perceptmetrics.apps.demo.app import create_demo  # noqa: E402
from perceptmetrics.apps.demo.page import SYSTEM_FONTS  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
PATIENCE = 30_000  # milliseconds: the machine may be busy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # other packages' warnings come from threads of the server
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        studio = Studio(offers(cache_dir=folder), DemoLimits(max_bytes=300_000, max_pixels=1_000_000))
        config = uvicorn.Config(create_demo(studio, folder), log_level="error", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page as a visitor first sees it, on a browser that must not ask anybody else for anything."""
    elsewhere: list[str] = []
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    opened.on("request", lambda request: elsewhere.append(request.url))
    opened.goto(address)
    yield opened
    opened.close()
    here = urlsplit(address).netloc
    assert [
        url for url in elsewhere if urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc != here
    ] == []


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def upload(page: Page, box: str, *files: Path) -> None:
    page.set_input_files(f"#{box} input[type=file]", [str(file) for file in files])


def offline_scores(image: Path) -> list[str]:
    """What the demo shows of an image by the metrics that are chosen from the start."""
    metrics = (create_metric(name) for name in ("lite_iqa", "lite_attributes"))
    return [f"{score:.4f}" for metric in metrics for score in metric.score(image).flatten().tolist()]


def test_an_upload_gets_its_score_and_a_broken_file_its_message(page: Page, uploads: dict[str, Path]) -> None:
    open_tab(page, "Score")
    upload(page, "score-files", uploads["a.png"], uploads["cut.png"])
    expect(page.locator("#scores .pm-card")).to_have_count(2)
    expect(page.locator("#scores .pm-value b")).to_have_text(offline_scores(uploads["a.png"]))
    expect(page.locator("#scores .pm-problem")).to_contain_text("truncated or corrupt")
    assert "Traceback" not in page.content()


def test_an_example_is_scored_by_a_click(page: Page) -> None:
    open_tab(page, "Score")
    page.locator("#examples button").nth(1).click()
    expect(page.locator("#scores .pm-card", has_text="cat-blurred.png")).to_be_visible()
    expect(page.locator("#scores .pm-value")).to_have_count(8)  # lite_iqa and the seven of lite_attributes


def test_an_explanation_appears(page: Page, uploads: dict[str, Path]) -> None:
    open_tab(page, "Explain")
    upload(page, "explain-file", uploads["b.jpg"])
    overlay = page.locator("#explanation img.pm-overlay")
    expect(overlay).to_be_visible()
    assert overlay.evaluate("image => image.complete && image.naturalWidth") == 36


def test_two_images_are_compared(page: Page, uploads: dict[str, Path]) -> None:
    open_tab(page, "Compare")
    upload(page, "first-file", uploads["a.png"])
    upload(page, "second-file", uploads["b.jpg"])
    rows = page.locator("#comparison tbody tr")
    for file in ("a.png", "b.jpg"):
        expect(rows).to_contain_text(offline_scores(uploads[file]))


def test_metrics_that_are_not_here_cannot_be_chosen(page: Page) -> None:
    for tab in ("Score", "Compare", "Metrics"):  # what a tab holds is made when it is opened
        open_tab(page, tab)
    expect(page.get_by_text("perceptmetrics fetch perceptclip_emo")).to_be_visible()
    assert page.locator("input[type=checkbox]").count() == 4  # lite_iqa and lite_attributes, in two tabs


def test_a_file_that_is_too_large_is_refused(page: Page, address: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(400_000))
    page.goto(address)
    upload(page, "score-files", large)
    expect(page.get_by_text("exceed the maximum allowed size").first).to_be_visible()


def test_the_browser_is_told_to_fetch_nothing_from_elsewhere(page: Page, address: str) -> None:
    answer = page.goto(address)
    assert answer is not None
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    refused = "fetch('http://127.0.0.1:9/').then(() => 'fetched', error => error.message)"
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate(refused)


def test_fonts_are_those_of_the_system_and_the_phone_needs_no_sideways_scrolling(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(address)
    page.wait_for_selector("#score-files")
    assert SYSTEM_FONTS[0] in page.evaluate("getComputedStyle(document.querySelector('.gradio-container')).fontFamily")
    for name in ("Score", "Explain", "Compare", "Metrics"):
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
