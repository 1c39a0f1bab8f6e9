"""The page that tags what is typed: its server, and what a browser makes of it (skipped without Chromium)."""

import importlib.util
import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request

import pytest

from ner.cli import serve as serve_command
from ner.modeling.model import build_model, save_model
from ner.modeling.pretrained import load_tokenizer
from ner.tagging import app
from ner.tagging.examples import EXAMPLES, MIXED
from ner.tagging.rendering import differences
from ner.tagging.tagger import Tagger
from tests.conftest import TAGS
from tests.processes import SECONDS, started, wait_until

needs_gradio = pytest.mark.skipif(not importlib.util.find_spec("gradio"), reason=app.MISSING)


@pytest.fixture(scope="module")
def trap():
    """A socket that nobody may call: the program's proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@needs_gradio
def test_bad_input_is_one_message(tmp_path, capsys, trap):
    (tmp_path / "empty").mkdir()
    port = str(trap.getsockname()[1])
    for arguments, message in [
        (["a", "--port", port], f"--port {port}: Address already in use; name another one, or 0 for one that is free"),
        ([str(tmp_path / "empty")], "empty: neither a run of train.py (config.yaml) nor a model folder (config.json)"),
        (["a", "a", "--port", "70000"], "--runs names one twice: a a\n--port 70000 must be from 0 to 65535"),
    ]:
        with pytest.raises(SystemExit) as caught:
            serve_command.main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err.rstrip().endswith(message)


def test_gradio_is_asked_for_where_it_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SystemExit) as caught:
        serve_command.main(["runs/all"])
    assert caught.value.code == 2
    assert "pip install 'crosslingual-ner[serve]'" in capsys.readouterr().err


# The program


@pytest.fixture(scope="module")
def taggers(tmp_path_factory, encoder_folder):
    """Two models of random weights, by the name of their folder."""
    folder = tmp_path_factory.mktemp("widget")
    for seed, name in enumerate(("one", "<two>")):
        model = build_model(str(encoder_folder), TAGS, seed=seed)
        save_model(folder / name, model, load_tokenizer(str(encoder_folder)), model.state_dict())
    return {str(folder / name): Tagger.from_pretrained(str(folder / name)) for name in ("one", "<two>")}


@pytest.fixture(scope="module")
def program(taggers, trap, tmp_path_factory):
    """The program, serving, and its address. It ends at Ctrl-C, quietly."""
    pytest.importorskip("gradio", reason=app.MISSING)
    proxy = f"http://127.0.0.1:{trap.getsockname()[1]}"
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    proxies = {f"{name}_proxy": proxy for name in ("http", "https", "all")}
    output = tmp_path_factory.mktemp("program") / "output"  # a file: nobody empties a pipe while it serves
    command = [sys.executable, "-m", "ner", "serve", *taggers, "--no-browser"]
    environment = online | proxies | {name.upper(): proxy for name in proxies}
    with output.open("wb") as file, started(command, stdout=file, stderr=file, env=environment) as process:
        wait_until(
            lambda: re.search(r"^http\S+(?=  Ctrl-C)", output.read_text(encoding="utf-8"), re.MULTILINE), process
        )
        (address,) = re.findall(r"^http\S+", output.read_text(encoding="utf-8"), re.MULTILINE)
        yield process, address
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=SECONDS) == 0
        assert "Traceback" not in output.read_text(encoding="utf-8")


def test_it_serves_this_machine_alone(program):
    _, address = program
    port = int(address.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(ConnectionRefusedError):  # where a server for every address answers
        socket.create_connection(("127.0.0.2", port), timeout=SECONDS)
    with urllib.request.urlopen(address, timeout=SECONDS) as answer:
        page = answer.read().decode()
        assert answer.headers["content-security-policy"].startswith("default-src 'self' data:")
    assert json.dumps(EXAMPLES["it"].text)[1:30] in page
    elsewhere = urllib.request.Request(address, headers={"Host": "example.org"})  # a name that leads here
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(elsewhere, timeout=SECONDS)


class Widget:
    """The page in the browser, used as a reader does."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get("about:blank")
        browser.get_log("performance")  # what went before
        browser.get(address)
        self.wait(lambda: self.sides)

    def run(self, script):
        return self.browser.execute_script(script)

    def wait(self, condition):
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.browser, SECONDS, 0.05).until(lambda _: condition())

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def type(self, text):
        from selenium.webdriver.common.keys import Keys

        box = self.find("#text textarea")
        box.send_keys(Keys.CONTROL + "a")
        box.send_keys(Keys.DELETE, text)

    def choose(self, name, option):
        self.find(f"#{name} input").click()
        self.wait(lambda: self.run("return document.querySelector('[role=option]')"))
        options = self.browser.find_elements("css selector", "[role=option]")
        next(one for one in options if one.get_attribute("aria-label") == option).click()

    @property
    def sides(self):
        """Name, text and entities, as (text, type and score), of each run that is shown."""
        return self.run("""
            const plain = (node) => {
                const copy = node.cloneNode(true);
                copy.querySelectorAll(".bars, mark > small").forEach((part) => part.remove());
                return copy.textContent;
            };
            return [...document.querySelectorAll("#result section:has(.text)")].map((side) => [
                side.querySelector("h2").textContent,
                plain(side.querySelector(".text")),
                [...side.querySelectorAll("mark")].map((mark) => [
                    plain(mark), mark.querySelector("small").textContent])])
        """)

    @property
    def differences(self):
        return self.run(
            "return [...document.querySelectorAll('.differences tbody tr')].map((row) => row.lastChild.textContent)"
        )


def expected(taggers, text, *names):
    """What `Widget.sides` should be."""
    return [[name, text, [[e.text, f"{e.type} {e.score:.2f}"] for e in taggers[name](text)]] for name in names]


@pytest.fixture(scope="module")
def page(browser, program):
    return Widget(browser, program[1])


def test_typed_text_is_highlighted_and_runs_are_compared(page, taggers):
    one, two = taggers
    assert page.sides == expected(taggers, EXAMPLES["de"].text, one)
    page.type("Frau Muster aus  Bern <b>trifft</b> {{value}} ${1+1} & Co.")
    text = page.find("#text textarea").get_attribute("value")
    page.wait(lambda: page.sides == expected(taggers, text, one))
    page.choose("other", two)
    page.wait(lambda: page.sides == expected(taggers, text, one, two))
    found = differences(*(taggers[name](text) for name in taggers))
    assert page.differences == [difference.description([one, two]) for difference in found]
    page.choose("run", two)
    page.wait(lambda: page.sides == expected(taggers, text, two))
    next(one for one in page.browser.find_elements("css selector", "button") if one.text == "Français").click()
    page.wait(lambda: page.sides == expected(taggers, EXAMPLES["fr"].text, two))
    page.type(" ")
    page.wait(lambda: page.sides == expected(taggers, " ", two))


def test_the_probabilities_of_a_word_are_bars(page, taggers):
    from selenium.webdriver.common.action_chains import ActionChains

    page.type("Anna Keller in Bern")
    page.wait(lambda: page.sides[0][1] == "Anna Keller in Bern")
    seen = "return [...document.querySelectorAll('.bars')].filter((bars) => bars.checkVisibility()).length"
    page.find("#text textarea").click()
    assert page.run(seen) == 0
    word = page.find(".word:nth-of-type(1)")
    ActionChains(page.browser).move_to_element(word).perform()
    page.wait(lambda: page.run(seen) == 1)
    ActionChains(page.browser).move_to_element(page.find("#lead")).perform()
    page.wait(lambda: page.run(seen) == 0)
    word.click()
    ActionChains(page.browser).move_to_element(page.find("#lead")).perform()
    page.wait(lambda: page.run(seen) == 1)
    numbers = page.run("return [...document.querySelectorAll('.word:focus i')].map((bar) => bar.textContent)")
    shares = [float(number.split()[-1]) for number in numbers]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=0.04)


def test_an_error_is_shown(page):
    """Half a surrogate pair, which no tokenizer takes."""
    page.run("""
        const box = document.querySelector("#text textarea");
        box.value = "Bern \\ud800";
        box.dispatchEvent(new Event("input", { bubbles: true }));
    """)
    page.wait(lambda: "surrogates not allowed" in page.find("body").text)


def test_long_text_on_a_narrow_screen_does_not_scroll_sideways(page, browser, taggers):
    text = " ".join([example.text for example in (*EXAMPLES.values(), MIXED)] * 4)
    size = {"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.run(f"""
        const box = document.querySelector("#text textarea");
        box.value = {json.dumps(text + "w" * 200)};
        box.dispatchEvent(new Event("input", {{ bubbles: true }}));
    """)
    page.wait(lambda: page.sides == expected(taggers, text + "w" * 200, page.sides[0][0]))
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_is_asked_of_another_machine(page, browser, program, trap):
    _, address = program
    page.type("Bern")
    page.wait(lambda: page.sides[0][1] == "Bern")  # and all that the tests before did
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    with pytest.raises(BlockingIOError):  # the program has called no proxy either, since it started
        trap.accept()
