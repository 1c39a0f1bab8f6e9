"""The page: what is in the file, and what a browser makes of it (skipped where Chromium is missing)."""

import base64
import gzip
import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from seqeval.metrics.sequence_labeling import get_entities

from ner.analysis.entity_errors import KINDS
from ner.cli.page import main
from ner.report.elements import Picture, Section, Table
from ner.report.error_sections import error_sections
from ner.report.page import source_hash, write_report
from ner.report.sentence_data import SEPARATOR, entity_marks, pack, read
from tests.browser import Page
from tests.conftest import TAGS
from tests.report.losses import losses

HOSTILE = ["<script>window.pwned=1</script>", "</script><img/src=x/onerror=window.pwned=1>", "\"'&amp;\u2028", "👩‍🚒"]


def unpack(packed: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and columns, as the page reads them."""
    content = gzip.decompress(packed)
    end = 4 + int.from_bytes(content[:4], "little")
    header = json.loads(content[4:end])
    columns = {
        name: np.frombuffer(content, np.dtype(kind).newbyteorder("<"), length, end + offset)
        for name, (kind, offset, length) in header["columns"].items()
    }
    return header, columns


class Elements(HTMLParser):
    """The elements of a page: tag, attributes and, of scripts and styles, the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] in ("script", "style") and self.cdata_elem:
            self.inline.append((self.cdata_elem, data))


def test_marks_are_those_of_seqevals_entities():
    rng = np.random.default_rng(0)
    gold, predicted = rng.choice(len(TAGS), (2, 600), p=[0.4, *[0.1] * 6])
    predicted = np.where(rng.random(600) < 0.7, gold, predicted)
    begins = np.arange(600) % 6 == 0
    marked = np.zeros(600, dtype=bool)
    for start in range(0, 600, 6):
        one, other = (
            {(kind, first + start, last + 1 + start) for kind, first, last in get_entities(tags)}
            for tags in ([TAGS.names[i] for i in side[start : start + 6]] for side in (gold, predicted))
        )
        for entity in one & other:
            marked[entity[1] : entity[2]] = True
    marks = entity_marks(gold, predicted, begins, TAGS)
    assert (((marks & 16) > 0) == marked).all()
    assert (((marks & 32) > 0) == marked).all()
    assert ((marks & 1) > 0).sum() == ((marks & 2) > 0).sum()


SMALL = pa.concat_tables(
    [
        losses(
            "Bern/B-LOC/O/2.5 ist/O/O/0.25 \u200b/O/O/-", "\u200b/O/O/-", "Anna/B-PER/B-PER/0.5 Frei/I-PER/I-PER/1.0"
        ),
        losses("Bern/B-ORG/B-LOC/3.0", language="fr", first=7),
    ]
)


def test_columns_hold_the_table():
    header, columns = unpack(pack(read(SMALL), {("runs/de", "de", "test", 2): 0.5}))
    assert header["run"] == ["runs/de"]
    assert [header["language"][code] for code in columns["language"]] == ["de", "de", "de", "fr"]
    assert columns["number"].tolist() == [0, 1, 2, 7]
    assert columns["start"].tolist() == [0, 3, 4, 6, 7]
    np.testing.assert_array_equal(columns["total"], [2.75, 0, 1.5, 3])
    np.testing.assert_array_equal(columns["mean"], [1.375, np.nan, 0.75, 3])
    np.testing.assert_array_equal(columns["max"], [2.5, np.nan, 1, 3])
    np.testing.assert_array_equal(columns["label_error"], [np.nan, np.nan, 0.5, np.nan])
    assert [header["texts"][form] for form in columns["form"]] == SMALL["text"].to_pylist()
    pieces = [header["sub_tokens"][form].split(SEPARATOR) for form in columns["form"]]
    assert pieces[:3] == [["Ber", "n"], ["ist", ""], [""]]
    assert [header["tags"][tag] for tag in columns["gold"]] == SMALL["gold"].to_pylist()
    np.testing.assert_allclose(columns["p_gold"], SMALL["p_gold"].to_numpy(), atol=5.1e-5)
    assert columns["kinds"].tolist() == [1 << KINDS.index("missed") - 1, 0, 0, 1 << KINDS.index("wrong type") - 1]
    assert columns["error_sentence"].tolist() == [0, 3]


def test_rows_come_in_any_order(tmp_path):
    """As several processes write them, and as Parquet files of large_string or dictionaries hold them."""
    shuffled = SMALL.take(pa.array([0, 6, 5, 3, 2, 1, 4]))
    shuffled = shuffled.set_column(5, "text", shuffled["text"].cast(pa.large_string()))
    shuffled = shuffled.set_column(7, "gold", shuffled["gold"].dictionary_encode())
    pq.write_table(shuffled.append_column("more", pa.array(range(7))), tmp_path / "table.parquet")
    assert pack(read(tmp_path / "table.parquet")) == pack(read(SMALL))


def test_of_too_many_sentences_those_of_the_greatest_loss_are_kept(tmp_path):
    _, columns = unpack(pack(read(SMALL), max_sentences=2))
    assert columns["number"].tolist() == [0, 7]
    assert columns["start"].tolist() == [0, 3, 4]
    write_report(tmp_path / "page.html", SMALL, title="t", max_sentences=2)
    assert "2 of 4 sentences: those of the greatest total loss." in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (SMALL.drop_columns(["loss", "text"]), "table: no columns text, loss"),
        (SMALL.slice(0, 0), "no rows"),
        (pa.concat_tables([SMALL, SMALL.slice(1, 1)]), "1 words stand there twice, first run runs/de, language de"),
        (losses("Bern/LOC/O/1"), "table: not IOB2 tags"),
        (SMALL.set_column(7, "gold", pa.array([None, *["O"] * 6])), "nulls in gold"),
        (SMALL.set_column(3, "sentence", pa.array(["a"] * 7)), "columns of other types"),
        (Path("nowhere.parquet"), "nowhere.parquet: no such file"),
        (Path(__file__), "test_page.py: not Parquet; evaluate.py --token-losses writes such tables"),
    ],
)
def test_tables_that_make_no_page(table, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / "page.html", table, title="t")
    assert not (tmp_path / "page.html").exists()


def test_label_errors_of_other_sentences_are_none():
    with pytest.raises(ValueError, match="none of the 1 label_errors"):
        pack(read(SMALL), {("runs/de", "de", "train", 0): 1.0})


def test_sections(tmp_path):
    scores = Table(
        ["trained on", "de", "sentences"],
        [["de & fr", 0.85678, 12_580], ["–", None, 7]],  # noqa: RUF001
        caption="F1 <test>",
        strong=frozenset({(0, 1)}),
    )
    shares = Table(["gold", "O"], [["O", 0.96], ["B-LOC", float("nan")]], shades=(0.0, 1.0))
    picture = Picture("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", 'A "curve"')
    sections = [Section("F1 > 0", ["Text <b>.", scores]), Section("Pictures", [picture, shares])]
    write_report(tmp_path / "page.html", SMALL, title="Runs <de>", findings=["F1 < 1."], sections=sections)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>Runs &lt;de&gt;</title>" in page
    assert '<li><a href="#s0">F1 &gt; 0</a></li>' in page
    assert '<ul id="findings"><li>F1 &lt; 1.</li></ul>' in page
    assert "<p>Text &lt;b&gt;.</p>" in page
    assert '<th scope="col">trained on</th><th scope="col" class="number">de</th>' in page
    row = '<th scope="row"><bdi>de &amp; fr</bdi></th><td class="number"><strong>0.857</strong></td>'
    assert f'{row}<td class="number">12,580</td>' in page
    assert '<td class="number shade10">0.960</td>' in page
    assert page.count('<td class="number">–</td>') == 2  # noqa: RUF001
    image = next(attributes for tag, attributes in Elements(page).found if tag == "img")
    assert image["alt"] == 'A "curve"'
    assert base64.b64decode(str(image["src"]).partition("base64,")[2]).decode() == picture.svg


def test_a_page_holds_no_markup_of_the_data_and_asks_for_nothing(tmp_path):
    table = losses(*(f"{word}/O/O/1" for word in HOSTILE), language="<i>", run="</script>")
    write_report(tmp_path / "page.html", table, title="</title><script>alert(1)</script>", sections=[])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    elements = Elements(page)
    assert [attributes.get("id") for tag, attributes in elements.found if tag == "script"] == ["data", None]
    assert not [attributes for _, attributes in elements.found if "onerror" in attributes or "style" in attributes]
    linked = [value for _, attributes in elements.found for name in ("src", "href") if (value := attributes.get(name))]
    assert {value.partition(":")[0] if ":" in value else value[:1] for value in linked} == {"data", "#"}
    policy = next(str(a["content"]) for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    (_, style), (_, data), (_, script) = elements.inline
    assert source_hash(style) in policy
    assert source_hash(script) in policy
    header, columns = unpack(base64.b64decode(data))
    assert [header["texts"][form] for form in columns["form"]] == HOSTILE


def test_command_line(tmp_path, capsys):
    pq.write_table(SMALL, tmp_path / "table.parquet")
    main([str(tmp_path / "table.parquet"), "--output", str(tmp_path / "page.html"), "--max-sentences", "3"])
    assert capsys.readouterr().out == f"written: {tmp_path}/page.html\n"
    assert "3 of 4 sentences" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "none.parquet"), "--output", str(tmp_path / "page.html")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith("none.parquet: no such file; evaluate.py --token-losses writes one\n")


# In a browser


MANY = pa.concat_tables(
    [
        losses(
            "Bern/B-LOC/O/2.5 ist/O/O/0.25",
            "Anna/B-PER/B-PER/0.5 Frei/I-PER/I-PER/1",
            "das/O/O/0.1 Bad/B-LOC/B-ORG/1.5 Ragaz/I-LOC/I-ORG/1.5 ruft/O/O/0.01",
            *(f"{word}/O/O/0.75" for word in HOSTILE),
            "שלום/B-PER/B-PER/0.3 ברן/B-LOC/B-LOC/0.3",
            *(f"Satz/O/O/0.01 Nr{i}/O/O/0.02" for i in range(40)),
        ),
        losses("Genève/B-LOC/B-LOC/0.2 rit/O/B-PER/4.5 \u200b/O/O/-", language="fr"),
    ]
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "ein <Bericht> #1.html"
    label_errors = {("runs/de", "de", "test", 2): 0.9, ("runs/de", "fr", "test", 0): 0.4}
    sections = [Section("First", [Table(["a"], [[1]])])]
    write_report(file, MANY, title="Test", sections=sections, label_errors=label_errors)
    return file


@pytest.fixture
def page(browser, file):
    return Page(browser, file)


def test_filters(page):
    everything = f"{len(np.unique(MANY['sentence'].to_numpy())) + 1} sentences"
    assert page.status == everything
    page.choose("language", "fr")
    assert (page.status, page.places) == ("1 of 49 sentences", ["fr · 0"])
    page.choose("language", "de")
    page.choose("type", "LOC")
    assert page.places == ["de · 2", "de · 0", "de · 7"]
    page.choose("error", "missed")
    assert page.places == ["de · 0"]
    page.choose("error", "no error")
    assert page.places == ["de · 7"]
    page.choose("type", "ORG")
    page.choose("error", "wrong type")
    assert page.places == ["de · 2"]
    page.choose("type", "PER")
    assert page.places == []
    message = page.run("return document.querySelector('#message').textContent")
    assert message == "No sentence matches: language “de”, entity type “PER”, error “wrong type”."
    page.browser.find_element("css selector", "#filters [type=reset]").click()
    assert page.status == "48 of 49 sentences"  # what the page is of stays chosen
    page.choose("language", "all")
    assert page.status == everything
    page.type("words", "bad rag")
    assert page.places == ["de · 2"]
    page.control("case").click()
    assert page.places == []
    page.type("words", "")
    page.type("loss", "2.5")
    assert page.places == ["fr · 0", "de · 0"]
    page.type("loss", "0")
    page.control("label_error").click()
    page.choose("order", "label error")
    assert page.places == ["de · 2", "fr · 0"]


def test_order_and_pages(page):
    assert page.places[:3] == ["fr · 0", "de · 2", "de · 0"]  # by total loss
    for order, first in {"length": "de · 2", "mean loss": "fr · 0", "as in the data": "de · 0"}.items():
        page.choose("order", order)
        assert page.places[0] == first
    page.browser.find_element("id", "next").click()
    assert page.places[0] == "de · 25"
    assert len(page.places) == 24
    assert "page=2" in page.view
    page.browser.find_element("id", "next").click()  # the last one: nothing after it
    assert page.places[0] == "de · 25"


def test_the_lowest_come_first_where_that_is_asked(page):
    page.control("ascending").click()
    assert page.places[0] == "de · 8"  # the first of those with 0.03 in all
    page.choose("order", "label error")
    assert page.places[:2] == ["fr · 0", "de · 2"]  # 0.4, 0.9, then those without a score
    page.choose("order", "length")
    assert page.places[0] == "de · 3"
    page.choose("order", "as in the data")
    assert page.places[0] == "fr · 0"
    assert "ascending=yes" in page.view


@pytest.fixture(scope="module")
def runs_file(tmp_path_factory):
    """Of two runs on one split, and one of them on another one."""
    words = pa.concat_tables(
        [
            MANY,
            losses("Chur/B-LOC/B-LOC/0.5 Zug/B-LOC/B-ORG/1 Anna/B-PER/O/2", run="runs/all"),
            losses("Thun/B-LOC/B-LOC/0.1", run="runs/all", split="validation"),
        ]
    )
    file = tmp_path_factory.mktemp("runs") / "page.html"
    write_report(file, words, title="Test", sections=error_sections(read(words)))
    return file


def first_rows(page: Page, section: str) -> list[list[str]]:
    return page.run(
        "const heading = [...document.querySelectorAll('h2')].find((one) => one.textContent === arguments[0]);"
        "return [...heading.parentElement.querySelector('table').tBodies[0].rows]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))",
        section,
    )


def test_run_split_and_language_are_chosen_once_for_the_whole_page(browser, runs_file):
    page = Page(browser, runs_file)
    assert page.status == "49 sentences"  # of the first run alone
    assert [row[:2] for row in first_rows(page, "Kinds of errors")][:3] == [
        ["correct", "4"],
        ["missed", "1"],
        ["spurious", "1"],
    ]
    page.choose("language", "fr")
    assert [row[:2] for row in first_rows(page, "Kinds of errors")][:3] == [
        ["correct", "1"],
        ["missed", "0"],
        ["spurious", "1"],
    ]
    page.choose("language", "de")
    page.choose("run", "runs/all")
    assert page.places == ["de · 0"]
    assert first_rows(page, "Confusion")[0] == ["LOC", "0.500", "0.500", "0.000", "0.000"]
    page.choose("split", "validation")
    assert page.words == [["Thun"]]
    assert first_rows(page, "Confusion")[0] == ["LOC", "1.000", "0.000"]
    view = page.view
    page.choose("language", "fr")
    assert page.run("return document.querySelector('.view').textContent") == "There is nothing of this choice."
    assert page.places == []
    page.open(view)
    assert first_rows(page, "Confusion")[0] == ["LOC", "1.000", "0.000"]


def test_the_run_that_is_chosen_at_first(browser, tmp_path):
    words = pa.concat_tables([losses("Bern/B-LOC/O/1"), losses("Chur/B-LOC/B-LOC/1 und/O/O/0", run="runs/<all>")])
    sections = error_sections(read(words))
    write_report(tmp_path / "page.html", words, title="Test", sections=sections, run="runs/<all>")
    page = Page(browser, tmp_path / "page.html")
    assert page.words == [["Chur", "und"]]
    assert first_rows(page, "Kinds of errors")[0][:2] == ["correct", "1"]
    page.choose("run", "runs/de")
    assert page.words == [["Bern"]]
    assert "run=runs%2Fde" in page.view


def test_a_header_sorts_its_table(browser, runs_file):
    page = Page(browser, runs_file, "#sentences?language=de")

    def names() -> list[str]:
        return [row[0] for row in first_rows(page, "Loss by gold tag")]

    def sort(column: str) -> None:
        page.run(
            "[...document.querySelectorAll('.sort')].find((one) => one.textContent === arguments[0] && "
            "one.closest('section').querySelector('h2').textContent === 'Loss by gold tag').click()",
            column,
        )

    assert names() == ["O", "B-LOC", "I-LOC", "I-PER", "B-PER"]  # by sum
    sort("mean")
    assert names()[:2] == ["I-LOC", "B-LOC"]
    sort("mean")
    assert names()[0] == "O"
    sort("tag")
    assert names() == ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    assert page.run("return [...document.querySelectorAll('[aria-sort]')].map((one) => one.ariaSort)") == ["ascending"]


def test_a_link_shows_the_same_view_and_back_goes_back(page, file, browser):
    page.choose("order", "as in the data")
    page.choose("language", "de")
    page.type("words", "S")
    page.browser.find_element("id", "next").click()
    view, words = page.view, page.words
    assert words[0][0] == "Satz"
    page.open(view)
    assert (page.view, page.words) == (view, words)
    link = browser.find_element("id", "link").get_attribute("href")
    page.choose("language", "fr")
    page.choose("error", "spurious")
    browser.back()
    browser.back()
    page.wait(lambda: "page=2" in page.view and page.words == words)  # the page follows when the address has changed
    browser.forward()
    page.wait(lambda: "language=fr" in page.view and page.control("language").get_attribute("value") == "fr")
    page.open(link.partition("#")[1] + link.partition("#")[2])
    assert page.words == words
    page.open("#sentences?language=xx&page=99&size=" + quote("<b>"))  # of another report, or by hand
    assert page.status == "49 sentences"
    assert len(page.places) == 24


def test_data_is_shown_and_never_run(page, browser):
    for word in HOSTILE:
        page.run(
            "const control = document.querySelector('#filters [name=words]'); control.value = arguments[0];"
            "control.dispatchEvent(new Event('input', { bubbles: true }))",
            word.strip("\u2028"),
        )
        assert page.words == [[word]]
    page.type("words", "<script>")
    assert browser.find_element("css selector", "#list .text").text == HOSTILE[0]
    assert page.run("return [window.pwned, document.scripts.length, document.images.length]") == [None, 1, 0]
    page.type("words", "שלום")
    assert page.run("return document.querySelector('#list .words').dir") == "rtl"
    page.type("words", "rit")
    assert page.words == [["Genève", "rit", "U+200B"]]


def test_the_page_loads_nothing(page):
    page.run(
        "window.refused = []; document.addEventListener('securitypolicyviolation', (event) => "
        "window.refused.push(event.effectiveDirective)); fetch('http://127.0.0.1:9/').catch(() => 0);"
        "const image = new Image(); image.src = 'http://127.0.0.1:9/a.png'; document.body.append(image);"
        "const script = document.createElement('script'); script.textContent = 'window.pwned = 1';"
        "document.body.append(script);"
    )
    page.wait("return window.refused.length === 3")
    assert sorted(page.run("return window.refused")) == ["connect-src", "img-src", "script-src-elem"]
    assert page.run("return window.pwned") is None
    assert (
        page.run("return performance.getEntriesByType('resource').filter((one) => !one.name.startsWith('http'))") == []
    )


def test_keys_and_details(page):
    from selenium.webdriver.common.keys import Keys

    page.choose("language", "fr")
    page.run("document.querySelector('#next').focus()")
    page.press(Keys.TAB)
    assert page.detail == {
        "word": "Genève",
        "gold": "B-LOC",
        "predicted": "B-LOC",
        "loss": "0.2000",
        "p(gold)": "0.8187",
        "p(predicted)": "0.8187",
        "entropy": "0.2000",
        "sub-tokens": "Gen ève",
    }
    page.press(Keys.ARROW_RIGHT)
    assert (page.detail["word"], page.detail["gold"], page.detail["predicted"]) == ("rit", "O", "B-PER")
    page.press(Keys.END)
    assert (page.detail["loss"], page.detail["sub-tokens"]) == ("–", "none")  # noqa: RUF001
    page.press(Keys.ESCAPE)
    assert page.detail == {}
    page.press(Keys.HOME, Keys.SHIFT + Keys.TAB)  # one stop for each sentence, and no trap
    assert page.run("return document.activeElement.id") == "next"
    page.browser.find_element("css selector", "#list .word:nth-child(2)").click()
    assert page.detail["word"] == "rit"
    assert page.run("return document.activeElement.getAttribute('aria-describedby')") == "detail"


def test_every_control_has_a_label_and_narrow_screens_do_not_scroll_sideways(page, browser):
    unnamed = "return [...document.querySelectorAll('input, select')].filter((one) => !one.labels.length).length"
    assert page.run(unnamed) == 0
    for width in (360, 1280):
        # Headless windows are no narrower than 500.
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": False},
        )
        page.wait(f"return innerWidth === {width}")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        assert page.run("return document.querySelector('#next').getBoundingClientRect().right") < width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
