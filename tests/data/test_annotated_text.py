import pytest

from ner.data.annotated_text import tagged_words, why_undecided
from ner.data.words import split_words

TEXT = "Anna Müller, of Zürich, met Li."
EXPECTED = (
    ["Anna", "Müller", ",", "of", "Zürich", ",", "met", "Li", "."],
    ["B-PER", "I-PER", "O", "O", "B-LOC", "O", "O", "B-PER", "O"],
)
SPANS = [(0, 11, "PER"), (16, 22, "LOC"), (28, 30, "PER")]


def objects(start="start", end="end", label="label"):
    return [{start: s, end: e, label: name} for s, e, name in SPANS]


def label_studio(**changes):
    results = [
        {"type": "labels", "from_name": "label", "value": {"start": s, "end": e, "text": TEXT[s:e], "labels": [name]}}
        for s, e, name in SPANS
    ]
    return {"id": 7, "data": {"text": TEXT}, "annotations": [{"result": results, "was_cancelled": False}], **changes}


@pytest.mark.parametrize(
    "row",
    [
        {"text": TEXT, "entities": [list(span) for span in SPANS]},
        {"text": TEXT, "ents": objects(), "cats": {}},
        {"text": TEXT, "spans": objects(), "answer": "accept"},
        {"id": 1, "text": TEXT, "label": [list(span) for span in SPANS]},
        {"id": 1, "text": TEXT, "labels": [list(span) for span in SPANS], "Comments": []},
        {"id": 1, "text": TEXT, "entities": objects("start_offset", "end_offset"), "relations": []},
        {"text": TEXT, "label": [{"start": s, "end": e, "text": TEXT[s:e], "labels": [name]} for s, e, name in SPANS]},
        label_studio(),
        {"text": TEXT, "spans": [[-0, 12 - 1, "PER"], [15, 22, "LOC"], [28, 30, "PER"]]},  # white space in front
    ],
    ids=[
        "spaCy 2",
        "spaCy",
        "Prodigy",
        "Doccano",
        "Doccano labels",
        "Doccano relations",
        "Label Studio minimal",
        "Label Studio",
        "white space",
    ],
)
def test_what_the_tools_export(row):
    assert tagged_words(row) == EXPECTED


def test_own_tokens_are_the_words():
    tokens = [{"start": s, "end": e} for s, e in ((0, 11), (11, 12), (12, 13), (13, 31))]
    row = {"text": TEXT, "spans": [[0, 11, "PER"]], "tokens": tokens}
    assert tagged_words(row) == (["Anna Müller", ",", TEXT[13:]], ["B-PER", "O", "O"])  # white space is no word


@pytest.mark.parametrize("place", ["row", "meta", "metadata", "data"])
@pytest.mark.parametrize(
    ("splitter", "words"),
    [
        ("edges", ["(", "Saint-Étienne", "),", "我", "©", "IBM"]),
        ("punctuation", ["(", "Saint", "-", "Étienne", ")", ",", "我", "©IBM"]),
        (None, ["(", "Saint", "-", "Étienne", ")", ",", "我", "©IBM"]),
        ("spaces", ["(Saint-Étienne),", "我", "©IBM"]),
    ],
)
def test_the_splitter_of_a_row(splitter, words, place):
    row: dict = {"text": "(Saint-Étienne), 我 ©IBM", "spans": []}
    if place == "data":
        row = {"data": {**row, "splitter": splitter}, "annotations": [{"result": []}]}
    else:
        row |= {"splitter": splitter} if place == "row" else {place: {"splitter": splitter}}
    assert tagged_words(row)[0] == words


@pytest.mark.parametrize("splitter", ["letters", 7, ["edges"]])
def test_an_unknown_splitter(splitter):
    with pytest.raises(ValueError, match="not one of edges, punctuation, spaces"):
        tagged_words({"text": "Bern", "spans": [], "meta": {"splitter": splitter}})


def test_words_of_many_scripts():
    assert split_words("e\u0301té d'Or, 我住 12.5€ مرحبا\u00a0x") == [
        "e\u0301té",
        "d",
        "'",
        "Or",
        ",",
        "我",
        "住",
        "12",
        ".",
        "5€",
        "مرحبا",
        "x",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spans": [[0, 3, "PER"]]}, r"span 0-3 'Ann' \(PER\) cuts the word 'Anna'"),
        ({"spans": [[1, 4, "PER"]]}, "cuts the word 'Anna'"),
        ({"spans": [[0, 4, "A"], [0, 11, "B"]]}, r"span 0-11 'Anna Müller' \(B\) overlaps another"),
        ({"spans": [[4, 4, "A"]]}, r"span 4-4 \(A\) is empty, or not in the text of 31 characters"),
        ({"spans": [[20, 99, "A"]]}, "not in the text"),
        ({"spans": [[-3, 2, "A"]]}, "not in the text"),
        ({"spans": [[4, 5, "A"]]}, "is white space"),
        ({"spans": [[0, "4", "A"]]}, "start and end as numbers"),
        ({"spans": [[True, 4, "A"]]}, "start and end as numbers"),
        ({"spans": [{"start": 0, "end": 4}]}, "one label"),
        ({"spans": [{"start": 0, "end": 4, "labels": ["A", "B"]}]}, "one label"),
        ({"spans": [[0, 4]]}, r"\[start, end, label\]"),
        ({"spans": [{"start": 0, "end": 4, "label": "A", "text": "Anne"}]}, "'Anna', but its text says 'Anne'"),
        ({"spans": {"0": 4}}, "not a list"),
        ({"text": None, "spans": []}, "text is None"),
        ({}, "no spans, entities, ents, label, labels; the row has text"),
        ({"spans": [], "answer": "reject"}, "answer is 'reject'"),
        ({"spans": [], "tokens": [{"start": 5, "end": 3}]}, "token 5-3"),
        ({"spans": [], "tokens": ["Anna"]}, "not an object with start and end"),
        ({"spans": [[2, 4, "A"]], "tokens": [{"start": 0, "end": 1}, {"start": 5, "end": 11}]}, "between words"),
        (label_studio(annotations=[]), "0 annotations of one text"),
        (label_studio(annotations=[{"result": []}, {"result": []}]), "2 annotations"),
    ],
)
def test_what_can_not_be_used(change, reason):
    with pytest.raises(ValueError, match=reason):
        tagged_words({"text": TEXT, **change})


def test_a_cancelled_annotation_does_not_count():
    row = label_studio()
    row["annotations"].append({"result": [], "was_cancelled": True})
    assert tagged_words(row) == EXPECTED


ARGILLA = {"id": "a", "fields": {"text": "Bern"}, "suggestions": {"entities": {"value": []}}, "metadata": {}}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Bern", "spans": [], "answer": "accept"}, ""),
        ({"text": "Bern", "spans": [], "answer": "reject"}, "rejected"),
        ({"text": "Bern", "spans": [], "answer": "ignore"}, "ignored"),
        ({"text": "Bern", "label": []}, ""),  # Doccano does not say
        (label_studio(), ""),
        (label_studio(annotations=[]), "not annotated"),
        (label_studio(annotations=[], predictions=[{"result": []}]), "not annotated"),
        ({"data": {"text": "Bern"}, "predictions": [{"result": []}]}, "not annotated"),
        (label_studio(annotations=[{"result": [], "was_cancelled": True}]), "skipped"),
        ({**ARGILLA, "responses": {}}, "without a response"),
        ({**ARGILLA, "responses": {"entities": []}}, "without a response"),
        ({**ARGILLA, "responses": {"entities": [{"value": [], "user_id": "u"}]}}, ""),
    ],
)
def test_what_nobody_has_accepted(row, reason):
    assert why_undecided(row) == reason
