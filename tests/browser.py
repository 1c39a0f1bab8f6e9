"""Headless Chromium, and the HTML report in it, used as a reader does."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.processes import SECONDS

PROGRAMS = ("chromium", "chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
]


def missing_programs() -> list[str]:
    """Which of the programs are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def start_browser(folder: Path) -> Any:
    """The browser, whose own files are in this folder; its log has every request."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which(PROGRAMS[0]))
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for flag in [*FLAGS, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which(PROGRAMS[1]))))


class Page:
    """A page in the browser, used as a reader does: by its controls."""

    def __init__(self, browser, file: Path, view: str = "") -> None:
        self.browser = browser
        self.file = file
        self.open(view)

    def open(self, view: str) -> None:
        """Loads the file anew. view: from # on."""
        self.browser.get("about:blank")
        self.browser.get(self.file.as_uri() + view)
        self.wait("return document.querySelector('#status').textContent !== ''")

    def run(self, script: str, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition: str | Callable[[], Any]) -> None:
        """Until a script, or a function of Python, gives something true."""
        from selenium.webdriver.support.wait import WebDriverWait

        is_met = condition if callable(condition) else lambda: self.run(condition)
        WebDriverWait(self.browser, SECONDS, 0.02).until(lambda _: is_met())

    def control(self, name: str):
        return self.browser.find_element("css selector", f"[name={name}]")

    def choose(self, name: str, text: str) -> None:
        from selenium.webdriver.support.select import Select

        Select(self.control(name)).select_by_visible_text(text)

    def type(self, name: str, text: str) -> None:
        self.control(name).clear()
        self.control(name).send_keys(text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)

    @property
    def view(self) -> str:
        return self.run("return location.hash")

    @property
    def status(self) -> str:
        return self.run("return document.querySelector('#status').textContent")

    @property
    def places(self) -> list[str]:
        return self.run("return [...document.querySelectorAll('#list .place')].map((one) => one.textContent)")

    @property
    def words(self) -> list[list[str]]:
        return self.run(
            "return [...document.querySelectorAll('#list .words')].map((one) => "
            "[...one.querySelectorAll('.text')].map((word) => word.textContent))"
        )

    @property
    def detail(self) -> dict[str, str]:
        return self.run(
            "return document.querySelector('#detail').hidden ? {} : Object.fromEntries([...document.querySelectorAll("
            "'#detail dt')].map((name) => [name.textContent, name.nextSibling.textContent.trim()]))"
        )
