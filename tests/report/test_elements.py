"""The HTML of the report page's parts."""

import pytest

from ner.report.elements import Cell, Histogram, Place, Section, Table, histogram_html, section_html, table_html


def test_shades_go_from_the_first_limit_to_the_second():
    html = table_html(
        Table(["run", "F1"], [["a", 0.5], ["b", 0.74], ["c", 0.9], ["d", 0.95], ["e", None]], shades=(0.5, 0.9))
    )
    assert '<table class="heat">' in html
    assert [
        f'class="number shade{step}">{f1}<' in html for step, f1 in ((0, "0.500"), (6, "0.740"), (10, "0.900"))
    ] == [True] * 3
    assert 'shade10">0.950' in html  # beyond the limits it is as at the limit
    assert '<td class="number">–</td>' in html  # noqa: RUF001


def test_bars_are_shares_of_the_greatest_number_of_their_column():
    rows: list[list[Cell]] = [["B-LOC", 2, 1_000.0], ["O", 4, 250.0], ["I-LOC", 0, float("nan")]]
    html = table_html(Table(["tag", "count", "sum"], rows, bars=["sum"]))
    assert '<td class="number">4</td>' in html
    assert '<td class="number bar20">1,000.000</td>' in html
    assert '<td class="number bar5">250.000</td>' in html
    assert "bar0" in table_html(Table(["tag", "count"], [["a", 0], ["b", 7]], bars=["count"]))
    assert "bar" not in table_html(
        Table(["tag", "count"], [["a", 0]], bars=["count"])
    )  # nothing is longer than nothing


def test_small_text_stands_below_its_cell():
    html = table_html(Table(["run", "de"], [["a", 0.5]], below={(0, 1): "[0.4, <b>]"}))
    assert "0.500<small>[0.4, &lt;b&gt;]</small>" in html


def test_a_histogram_says_how_many_words_each_bar_stands_for():
    html = histogram_html(Histogram(["<O>", "B-LOC"], (0.0, 0.5, 3.0), [[99, 9, 0], [0, 1, 2]]))
    assert "<bdi>&lt;O&gt;</bdi> 108" in html
    assert 'aria-label="B-LOC: 0 to 0.5: 0; 0.5 to 3: 1; 3 and more: 2"' in html
    heights = [part.split('"')[0] for part in html.split('height="')[1:]]
    assert heights == ["48.0", "24.0", "0.0", "0.0", "7.2", "11.5"]  # 48 log(1 + count) / log(100)


def test_the_first_view_is_shown_and_all_are_templates():
    views = {Place("runs/<1>", "test"): ["both"], Place("runs/<1>", "test", "de"): ["German"]}
    html = section_html(Section("Errors", ["always"], views=views, wide=True), "s1")
    assert html.startswith('<section id="s1" class="wide">')
    assert html.index("always") < html.index("both")
    assert '<div class="content view"><p>both</p></div>' in html
    assert (
        '<template data-place="[&quot;runs/&lt;1&gt;&quot;,&quot;test&quot;,&quot;&quot;]"><p>both</p></template>'
        in html
    )
    assert '<template data-place="[&quot;runs/&lt;1&gt;&quot;,&quot;test&quot;,&quot;de&quot;]"><p>German' in html


def test_the_view_of_a_run_may_be_shown_first():
    section = Section("Errors", views={Place(run, "test"): [run] for run in ("a", "b")})
    assert '<div class="content view"><p>b</p></div>' in section_html(section, "s0", "b")
    assert '<div class="content view"><p>a</p></div>' in section_html(section, "s0", "c")


@pytest.mark.parametrize("views", [{}, {Place("a", "test"): []}])
def test_a_section_may_hold_nothing(views):
    assert section_html(Section("Empty", views=views), "s0").startswith('<section id="s0">\n<h2>Empty</h2>')
