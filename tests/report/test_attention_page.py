"""The attention page: its policy, what it shows without JavaScript, and what a browser makes of it."""

import base64
import json

import numpy as np
import pytest

from ner.analysis.encoder.attention import Attention
from ner.report.attention_page import SCALE, write_attention_page
from ner.report.page import source_hash
from tests.report.test_page import Elements

PIECES = ("<s>", "▁Anna", "</script><img src=x>")


def weights(layers: int, heads: int) -> np.ndarray:
    raw = np.random.default_rng(0).random((layers, heads, 3, 3))
    return (raw / raw.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def maps() -> dict[str, Attention]:
    return {"e5 (before)": Attention(PIECES, weights(3, 2)), "de (after)": Attention(PIECES, weights(2, 4))}


@pytest.fixture
def file(maps, tmp_path):
    write_attention_page(tmp_path / "attention.html", maps, "Anna <b>")
    return tmp_path / "attention.html"


def test_the_page_asks_for_nothing_and_holds_no_markup_of_the_text(file):
    page = file.read_text(encoding="utf-8")
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 2
    assert "b" not in tags
    assert "img" not in tags
    assert not [attrs for _, attrs in elements.found if "style" in attrs or any(name[:2] == "on" for name in attrs)]
    assert "http" not in page.replace("http-equiv", "")
    (policy,) = [str(attrs["content"]) for tag, attrs in elements.found if attrs.get("http-equiv")]
    style, script = elements.inline[0][1], elements.inline[-1][1]
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src {source_hash(style)};" in policy
    assert f"script-src {source_hash(script)};" in policy


def test_the_data_are_the_weights(file, maps):
    elements = Elements(file.read_text(encoding="utf-8"))
    data = json.loads(elements.inline[1][1])
    assert [each["name"] for each in data] == ["de (after)", "e5 (before)"]
    for each in data:
        expected = maps[each["name"]]
        assert tuple(each["pieces"]) == PIECES
        found = np.frombuffer(base64.b64decode(each["weights"]), "<u2").reshape(expected.weights.shape) / SCALE
        np.testing.assert_allclose(found, expected.weights, atol=1e-5)


def test_without_javascript_it_shows_the_mean_of_the_last_layer(file, maps):
    elements = Elements(file.read_text(encoding="utf-8"))
    cells = [attrs for tag, attrs in elements.found if tag == "rect"]
    first = maps["de (after)"].weights[-1].mean(axis=0)
    shown = [float(cell["fill-opacity"] or "nan") ** 2 for cell in cells]
    assert len(cells) == 18
    np.testing.assert_allclose(shown[:9], first.flatten(), atol=2e-3)


def test_layer_and_head_are_chosen_in_a_browser(browser, file, maps):
    from selenium.webdriver.support.select import Select

    browser.get(file.as_uri())

    def choose(name: str, text: str) -> None:
        Select(browser.find_element("css selector", f"[name={name}]")).select_by_visible_text(text)

    def shown() -> tuple[str, list[str]]:
        return browser.execute_script(
            "const map = document.querySelector('figure:not([hidden])');"
            "return [map.querySelector('figcaption').textContent, "
            "[...map.querySelectorAll('title')].map((title) => title.textContent)]"
        )

    def titles(table: np.ndarray) -> list[str]:
        return [f"{PIECES[i]} from {PIECES[k]}: {table[i, k]:.3f}" for i in range(3) for k in range(3)]

    after, before = maps["de (after)"].weights, maps["e5 (before)"].weights
    assert shown() == ["de (after): layer 2 of 2, mean of 4 heads", titles(after[1].mean(axis=0))]
    choose("layer", "1")
    choose("head", "3")
    assert shown() == ["de (after): layer 1 of 2, head 3 of 4", titles(after[0, 2])]
    choose("encoder", "e5 (before)")  # it has no head 3
    assert shown() == ["e5 (before): layer 1 of 3, mean of 2 heads", titles(before[0].mean(axis=0))]
    opacity = float(browser.execute_script("return document.querySelector('#m1 rect').getAttribute('fill-opacity')"))
    assert opacity == pytest.approx(before[0, :, 0, 0].mean() ** 0.5, abs=1e-3)
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
