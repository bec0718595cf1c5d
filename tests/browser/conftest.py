"""A real Chromium without network; skipped where there is none, except on CI, where that is a failure."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiseki.report.document import Document
from kiseki.report.to_html import to_html

_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def _missing(what: str) -> None:
    reason = f"{what} is missing: the page cannot be opened"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for a module; its log holds what the console said and what was requested."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if importlib.util.find_spec("selenium") is None:
        _missing("selenium")
    if chromium is None:
        _missing("Chromium")
    if chromedriver is None:
        _missing("chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[[Document], Any]:
    """Opens a document as a page from disk, light, with nothing remembered and an empty log."""

    def open_page(document: Document, dark: bool = False, width: int = 1280) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        page = tmp_path / "report.html"
        page.write_bytes(to_html(document))
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(page.as_uri())
        # `get` comes back while a long page is still loading, once in eight times on a busy machine
        WebDriverWait(browser, 60).until(lambda _: browser.execute_script("return document.readyState") == "complete")
        return browser

    return open_page
