"""The page of `so8t serve --ui` in a real browser: it asks, shows what came, switches language and loads nothing."""

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.conftest import _ARGUMENTS, _missing
from so8t.serve.generation import GenerationRequest
from so8t.serve.messages import MESSAGES
from so8t.serve.outcome import Outcome
from so8t.serve.settings import Settings
from unit.so8t.serve.running import CANARY, TOKEN, Server, leaks, running, well_formed

HOSTILE = "<img src=x onerror=window.attacked=1><script>window.attacked=1</script> 手袋を。"


async def reply(request: GenerationRequest) -> str:
    """A hostile answer, or a malformed text."""
    return well_formed(HOSTILE) if "well" in request.query else f"<think-task>{CANARY}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, reply, settings=Settings(ui=True, requests_per_minute=0)) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser that finds this machine's loopback address and nothing else; its log holds what was requested."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if importlib.util.find_spec("selenium") is None or chromium is None or chromedriver is None:
        _missing("selenium, Chromium or chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in _ARGUMENTS:
        options.add_argument(argument.replace("MAP * ~NOTFOUND", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture
def visit(browser: Any) -> Callable[[Server], Any]:
    """Give a function that opens a server's page."""
    from selenium.webdriver.common.by import By

    def open_page(server: Server) -> Any:
        browser.get_log("performance")
        browser.get_log("browser")
        browser.get(f"http://127.0.0.1:{server.port}/")
        browser.find_element(By.ID, "query")
        return browser

    return open_page


def at(browser: Any, name: str) -> Any:
    from selenium.webdriver.common.by import By

    return browser.find_element(By.ID, name)


def ask(browser: Any, query: str) -> str:
    """Ask, and give what is shown."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("document.getElementById('result').hidden = true")
    at(browser, "query").clear()
    at(browser, "query").send_keys(query)
    at(browser, "ask").click()
    WebDriverWait(browser, 60).until(lambda _: at(browser, "result").is_displayed())
    return str(at(browser, "answer").text)


def requested(browser: Any) -> set[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }


def test_it_shows_the_answer_as_text_with_its_labels_and_reaches_only_its_own_server(
    server: Server, visit: Callable[[Server], Any]
) -> None:
    browser = visit(server)
    assert ask(browser, "well?") == HOSTILE
    assert at(browser, "safety").text.startswith("ALLOW")
    assert len(at(browser, "audit").text) == 32
    assert browser.execute_script("return window.attacked") is None
    assert requested(browser) <= {f"http://127.0.0.1:{server.port}/{path}" for path in ("", "think", "favicon.ico")}
    said = [entry["message"] for entry in browser.get_log("browser") if "favicon" not in entry["message"]]
    assert said == []


def test_it_speaks_both_languages_and_asks_in_the_one_that_is_chosen(
    server: Server, visit: Callable[[Server], Any]
) -> None:
    browser = visit(server)
    seen = {}
    for _ in range(2):
        language = browser.execute_script("return document.documentElement.lang")
        seen[language] = (ask(browser, "bad"), at(browser, "ask").text)
        at(browser, "language").click()
    refusal = MESSAGES[Outcome.FORMAT_VIOLATION]
    assert seen == {"ja": (refusal["ja"], "質問する"), "en": (refusal["en"], "Ask")}
    assert {request.language for request in server.generator.requests} == {"ja", "en"}
    assert not leaks(browser.page_source.encode())


def test_a_token_is_asked_for_where_one_is_needed(tmp_path: Path, visit: Callable[[Server], Any]) -> None:
    settings = Settings(ui=True, token=TOKEN, requests_per_minute=0)
    with running(tmp_path, reply, settings=settings) as server:
        browser = visit(server)
        assert ask(browser, "well?") in ("アクセストークンが正しくありません。", "The access token is not right.")
        browser.execute_script("document.querySelector('details').open = true")
        at(browser, "token").send_keys(TOKEN.decode())
        assert ask(browser, "well?") == HOSTILE


def test_injected_markup_could_not_run_and_other_sites_cannot_be_reached(
    server: Server, visit: Callable[[Server], Any]
) -> None:
    browser = visit(server)
    browser.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.attacked = 1';"
        "document.body.append(script);"
    )
    assert browser.execute_script("return window.attacked") is None
    outcome = browser.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('reached'), () => done('refused'));"
    )
    assert outcome == "refused"
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
