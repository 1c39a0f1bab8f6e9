import re
from dataclasses import replace
from html import unescape

import numpy as np

from ner.tagging.document import Entity, TaggedText
from ner.tagging.rendering import differences, hues, marked, probability_bars, result, word_table

TEXT = "Anna Keller geht  von Bern\nnach Genf."


def entity(type_: str, text: str, score: float = 0.9, within: str = TEXT) -> Entity:
    start = within.index(text)
    return Entity(type_, text, start, start + len(text), score)


def test_differences():
    anna, keller = entity("PER", "Anna Keller"), entity("PER", "Keller")
    bern, genf = entity("LOC", "Bern"), entity("LOC", "Genf")
    assert differences([anna, bern], [anna._replace(score=0.1), bern]) == []
    found = differences([anna, bern], [keller, entity("ORG", "Bern"), genf])
    assert [(d.first, d.second) for d in found] == [(anna, keller), (bern, entity("ORG", "Bern")), (None, genf)]
    assert [d.description(["a", "b"]) for d in found] == ["other boundary", "other type", "only b"]
    assert [d.description(["b", "a"]) for d in differences([genf], [])] == ["only b"]
    # One long entity against two: the one of its type is its partner, though it comes later.
    both = [entity("LOC", "Anna"), keller]
    assert [(d.first, d.second) for d in differences([anna], both)] == [(anna, keller), (None, both[0])]
    assert [d.description("ab") for d in differences([anna], both[:1])] == ["other type and boundary"]


def test_marks_hold_the_text_and_nothing_of_it_is_markup():
    text = '<script>alert(1)</script> "Anna"  &amp;\n\tBern </mark>'
    entities = [entity("P<ER", '"Anna"', 0.987, text), entity("LOC", "Bern", 1.0, text)]
    html = marked(text, entities, hues(["P<ER"]), [None, entities[1]])
    assert set(re.findall(r"</?(\w+)", html)) == {"mark", "small"}
    assert unescape(re.sub("<small>.*?</small>|<[^>]*>", "", html)) == text
    assert [unescape(small) for small in re.findall("<small>(.*?)</small>", html)] == ["P<ER 0.99", "LOC 1.00"]
    assert re.findall('<mark class="differs"[^>]*>(.*?)<', html) == ["Bern"]
    assert marked("a < b", [], {}) == "a &lt; b"


TAGGED = TaggedText(
    text="An\u00adna <b> 東京",
    words=[(0, 5), (6, 9), (10, 12)],
    tags=["B-PER", "O", "B-LOC"],
    scores=np.array([0.75, np.nan, 0.5], np.float32),
    entities=[Entity("PER", "An\u00adna", 0, 5, 0.75), Entity("LOC", "東京", 10, 12, 0.5)],
    labels=("O", "B-P<ER", "B-LOC"),
    probabilities=np.array([[0.246, 0.75, 0.004], [np.nan] * 3, [0.25, 0.25, 0.5]], np.float32),
)


def test_bars_of_a_word():
    anna, none, tokyo = probability_bars(TAGGED)
    assert re.findall('--p: (.*?)"><b>(.*?)</b> (.*?)</i>', anna.html) == [
        ("75.0%", "B-P&lt;ER", "0.750"),
        ("24.6%", "O", "0.246"),
    ]
    assert "no sub-token" in none.html
    assert "&lt;b&gt;" in none.html
    assert tokyo.html.count("<i ") == 3
    html = marked(TAGGED.text, TAGGED.entities, hues([]), (), [anna, none, tokyo])
    assert html.count('<span class="word" tabindex="0">') == html.count('<span class="bars">') == 3
    plain = re.sub('<span class="bars">.*?</span>|<small>.*?</small>|<[^>]*>', "", html)
    assert unescape(plain) == TAGGED.text
    shown = result(TAGGED.text, {"a": TAGGED.entities}, hues([]), ["PER", "LOC"], {"a": [anna, none, tokyo]})
    assert html in shown
    assert probability_bars(replace(TAGGED, labels=())) == []


def test_words_in_columns():
    """The soft hyphen is shown as an escape; the wide characters take four columns."""
    pieces = [["▁An", "na"], [], ["▁", "東", "京"]]
    assert word_table(TAGGED, pieces, 80).splitlines() == [
        "word       An\\xadna   <b>  東京",
        "sub-token  ▁An    na       ▁      東  京",
        "tag        B-PER  -   O    B-LOC  -   -",
        "p          0.75   -        0.50   -   -",
        "p(O)       0.25   -        0.25   -   -",
        "p(B-P<ER)  0.75   -        0.25   -   -",
        "p(B-LOC)   0.00   -        0.50   -   -",
    ]
    plain = replace(TAGGED, labels=(), probabilities=np.zeros((3, 0), np.float32))
    assert len(word_table(plain, pieces, 80).splitlines()) == 4
    empty = replace(plain, text="", words=[], tags=[], scores=plain.scores[:0], entities=[])
    assert word_table(empty, [], 80) == ""


def test_colours_of_common_types_are_the_same_for_every_run():
    assert hues(["LOC", "PER"]).items() <= hues(["ADDRESS", "LOC", "MISC", "ORG", "PER", "ZOO"]).items()
    many = hues(map(str, range(20))).values()
    assert min(abs(a - b) for a in many for b in many if a != b) > 5


def test_result_of_one_run_and_of_two():
    bern = entity("LOC", "Bern")
    hue = hues([])
    alone = result(TEXT, {"<a>": [bern]}, hue, ["PER", "LOC"])
    assert (alone.count("<section>"), alone.count("<table>")) == (2, 1)
    assert re.findall('<span class="type"[^>]*>(.*?)<', alone)[:2] == ["PER", "LOC"]
    assert "<h2>&lt;a&gt;</h2>" in alone
    row = "<td><bdi>Bern</bdi></td><td>22</td><td>26</td><td>0.900</td>"
    assert row in alone
    two = result(TEXT, {"a": [bern], "<b>": []}, hue, ["PER", "LOC"])
    assert (two.count("<section>"), two.count("<table>")) == (4, 3)
    assert "<td>only a</td>" in two
    assert two.count('<mark class="differs"') == 1
    assert "Both runs find the same entities." in result(TEXT, {"a": [bern], "b": [bern]}, hue, ["PER"])
