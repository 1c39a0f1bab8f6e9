"""Probes on the report page: the section, and the filter and entries of sentences, of tables written by hand."""

import pyarrow as pa
import pytest

from ner.analysis.probing.files import SCHEMA, Probing
from ner.analysis.probing.flips import FLIPS, Flips
from ner.evaluation.bootstrap import Interval
from ner.report.elements import Place, Table, table_html
from ner.report.page import write_report
from ner.report.probe_section import NOT_PROBED, flip_table, probe_section
from ner.report.sentence_data import pack, read
from tests.browser import Page
from tests.report.losses import losses
from tests.report.test_page import first_rows, unpack
from tests.report.test_probe_plot import outcome

LOWERED = {"kept": 4, "lost": 1, "retyped": 2, "re-bounded": 0, "new": 3}
OUTCOMES = [
    outcome(
        "runs/de",
        "de",
        "lower",
        -0.4,
        interval=Interval(-0.5, -0.3),
        changed=1_234,
        sentences=2_000,
        flips=Flips(LOWERED, 1, ()),
    ),
    outcome("runs/de", "de", "swiss", 0.0, changed=0),
    outcome("runs/de", "fr", "lower", 0.1, interval=Interval(0.0, 0.2), before=0.7, flips=Flips(LOWERED, 0, ())),
    outcome("runs/de", "fr", "unseen", -0.02, measure="recall"),
]
NOTHING = pa.table({name: pa.array([], pa.string()) for name in SCHEMA.names})
PROBING = Probing({("runs/de", "test"): OUTCOMES}, NOTHING)


def tables(place: Place) -> list[Table]:
    section = probe_section(PROBING, [Place("runs/de", "test"), Place("runs/de", "test", "de"), Place("x", "test")])
    return [part for part in section.views[place] if isinstance(part, Table)]


def test_differences_and_flips_of_all_languages():
    differences, flipped, recall = tables(Place("runs/de", "test"))
    assert differences.header == ["probe", "de", "fr"]
    assert differences.rows == [["lower", -0.4, 0.1], ["swiss", None, None]]
    assert differences.below[0, 1] == "[-0.500, -0.300]\n1,234 of 2,000"
    assert differences.below[0, 2] == "[0.000, +0.200]\n9 of 9"
    assert differences.below[1, 1] == "0 of 9"
    assert (1, 2) not in differences.below  # not asked
    assert differences.below[0, 0] == "all in lower case"
    assert differences.differences == ["de", "fr"]
    assert differences.caption.endswith("Before: de 0.500, fr 0.700")
    assert flipped.header == ["probe", "before", *FLIPS]
    assert flipped.rows == [["lower", 14, 8, 2, 4, 0, 6]]
    assert recall.rows == [["unseen", -0.02]]


def test_of_a_language_and_where_nothing_was_probed():
    differences, flipped = tables(Place("runs/de", "test", "de"))
    assert differences.rows == [["lower", -0.4], ["swiss", None]]
    assert flipped.rows == [["lower", 7, 4, 1, 2, 0, 3]]
    assert probe_section(PROBING, [Place("x", "test")]).views == {Place("x", "test"): [NOT_PROBED]}


def test_a_loss_is_red_and_a_gain_blue():
    rows: list[list[str | float | None]] = [["a", -0.4], ["b", 0.11], ["c", -0.01], ["d", None]]
    html = table_html(Table(["probe", "F1"], rows, differences=["F1"]))
    assert '<td class="number fall5">-0.400</td>' in html
    assert '<td class="number rise2">+0.110</td>' in html
    assert '<td class="number">-0.010</td>' in html
    assert '<td class="number">–</td>' in html  # noqa: RUF001


WORDS = pa.concat_tables(
    [
        losses("Bern/B-LOC/B-LOC/2 ist/O/O/0", "Anna/B-PER/O/1 ruft/O/O/0", "FC/B-ORG/B-ORG/0.5 Zug/I-ORG/I-ORG/0.5"),
        losses("Sion/B-LOC/B-LOC/0.1", language="fr", first=7),
        losses("Bern/B-LOC/B-LOC/3 ist/O/O/0", run="runs/all"),
    ]
)
COLUMNS = ("run", "language", "split", "probe", "sentence", "flip", "before", "before_type", "after", "after_type")
ROWS = [
    ("runs/de", "de", "test", "upper", 0, "retyped", "Bern", "LOC", "<b>BERN</b>", "ORG"),
    ("runs/de", "de", "test", "lower", 0, "lost", "Bern", "LOC", None, None),
    ("runs/de", "de", "test", "lower", 2, "re-bounded", "FC Zug", "ORG", "zug", "ORG"),
    ("runs/de", "de", "test", "lower", 2, "new", None, None, "fc", "MISC"),  # no type of the sentences as they are
    ("runs/de", "fr", "test", "upper", 7, "lost", "Sion", "LOC", None, None),
    ("runs/all", "de", "test", "upper", 0, "lost", "Bern", "LOC", None, None),
    ("runs/all", "de", "test", "upper", 9, "lost", "Chur", "LOC", None, None),  # no sentence of the page
    ("runs/it", "de", "test", "upper", 0, "lost", "Bern", "LOC", None, None),
]
FLIPPED = flip_table(Probing({}, pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in ROWS])))


def test_columns_hold_the_entities_of_each_sentence():
    header, columns = unpack(pack(read(WORDS), flips=FLIPPED))
    found = header["flips"]
    assert (found["probes"], found["kinds"]) == (["lower", "upper"], ["lost", "retyped", "re-bounded", "new"])
    assert found["types"] == [*header["types"], "MISC"]

    def side(name: str, i: int) -> str:
        type_ = columns[f"flip_{name}_type"][i]
        return "" if type_ < 0 else f"{found['texts'][columns[f'flip_{name}'][i]]} {found['types'][type_]}"

    start = columns["flip_start"].tolist()
    kinds = [found["kinds"][kind] for kind in columns["flip_kind"]]
    probes = [found["probes"][probe] for probe in columns["flip_probe"]]
    assert start == [0, 2, 2, 4, 5, 6]  # Bern, Anna, FC Zug, Sion, and Bern of the other run
    assert list(zip(probes, kinds, strict=True))[:4] == [
        ("lower", "lost"),
        ("upper", "retyped"),
        ("lower", "re-bounded"),
        ("lower", "new"),
    ]
    assert [(side("before", i), side("after", i)) for i in range(4)] == [
        ("Bern LOC", ""),
        ("Bern LOC", "<b>BERN</b> ORG"),
        ("FC Zug ORG", "zug ORG"),
        ("", "fc MISC"),
    ]


def test_of_sentences_that_are_left_out_nothing_is_kept():
    header, columns = unpack(pack(read(WORDS), max_sentences=2, flips=FLIPPED))
    assert columns["number"].tolist() == [0, 0]
    assert columns["flip_start"].tolist() == [0, 2, 3]
    assert [header["flips"]["probes"][probe] for probe in columns["flip_probe"]] == ["lower", "upper", "upper"]


def test_without_probes_there_are_no_columns():
    header, columns = unpack(pack(read(WORDS)))
    assert "flips" not in header
    assert not [name for name in columns if name.startswith("flip")]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "page.html"
    probing = Probing({("runs/de", "test"): OUTCOMES}, NOTHING)
    places = [Place("runs/de", "test"), Place("runs/de", "test", "de"), Place("runs/all", "test", "de")]
    section = probe_section(probing, places)
    write_report(file, WORDS, title="Test", sections=[section], flips=FLIPPED)
    return file


def flips(page: Page) -> list[list[str]]:
    """What stands below each sentence that is shown: the line, and what the probes did."""
    return page.run(
        "return [...document.querySelectorAll('#list .flips')].map((one) => "
        "[...one.querySelectorAll('summary, dt, .flip')].map((part) => part.textContent))"
    )


def test_sentences_by_the_probes_that_flip_them(browser, file):
    page = Page(browser, file)
    assert page.places == ["de · 0", "de · 1", "de · 2", "fr · 7"]
    page.choose("flipped", "any probe")
    assert page.places == ["de · 0", "de · 2", "fr · 7"]
    assert flips(page)[:2] == [
        ["flipped by lower, upper", "lower", "lost Bern LOC", "upper", "retyped Bern LOC → <b>BERN</b> ORG"],
        ["flipped by lower", "lower", "re-bounded FC Zug ORG → zug ORG", "new fc MISC"],
    ]
    page.choose("flipped", "upper")
    assert page.places == ["de · 0", "fr · 7"]
    page.choose("flip", "lost")
    assert page.places == ["fr · 7"]
    page.choose("language", "de")
    assert page.places == []
    message = page.run("return document.querySelector('#message').textContent")
    assert message == "No sentence matches: language “de”, flipped by “upper”, flip “lost”."
    page.choose("flipped", "all sentences")
    assert page.places == ["de · 0"]  # lost by any probe
    page.choose("flipped", "no probe")
    assert page.places == ["de · 1", "de · 2"]
    page.choose("flip", "any")
    assert page.places == ["de · 1"]
    page.choose("flipped", "any probe")
    page.choose("type", "ORG")
    assert page.places == ["de · 0", "de · 2"]  # of what is flipped, before or after
    page.choose("flipped", "lower")
    assert page.places == ["de · 2"]
    page.choose("error", "missed")
    assert page.places == []
    page.choose("type", "all")
    page.choose("flipped", "no probe")
    assert page.places == ["de · 1"]
    page.browser.find_element("css selector", "#filters [type=reset]").click()
    page.choose("run", "runs/all")
    page.choose("flipped", "upper")
    assert page.places == ["de · 0"]
    assert page.run("return document.scripts.length") == 1
    page.open(page.view)
    assert (page.places, flips(page)) == (["de · 0"], [["flipped by upper", "upper", "lost Bern LOC"]])


def test_what_flipped_is_open_where_it_is_asked_for(browser, file):
    page = Page(browser, file)
    is_open = "return [...document.querySelectorAll('#list .flips')].map((one) => one.open)"
    assert page.run(is_open) == [False, False, False]
    page.choose("flipped", "lower")
    assert page.run(is_open) == [True, True]


def test_the_section_follows_the_choice(browser, file):
    page = Page(browser, file)
    german, french = "-0.400[-0.500, -0.300]\n1,234 of 2,000", "+0.100[0.000, +0.200]\n9 of 9"
    assert first_rows(page, "Probing")[0] == ["lowerall in lower case", german, french]
    page.choose("language", "de")
    assert first_rows(page, "Probing")[0][1:] == [german]
    page.choose("run", "runs/all")
    assert page.run("return document.querySelector('.view').textContent.trim()") == NOT_PROBED


def test_without_probes_there_is_no_filter(browser, tmp_path):
    write_report(tmp_path / "page.html", WORDS, title="Test")
    page = Page(browser, tmp_path / "page.html", "#sentences?flipped=lower")
    assert page.places == ["de · 0", "de · 1", "de · 2", "fr · 7"]
    for name in ("flipped", "flip"):
        assert not page.control(name).is_displayed()
