"""Where sentences begin."""

from itertools import pairwise

import pytest

from ner.data.words import split_edges, split_offsets
from ner.tagging.sentences import sentence_starts


def sentences(text, split=split_edges):
    words = split(text)
    starts = [*sentence_starts(text, words), len(words)]
    return [text[words[a][0] : words[b - 1][1]] for a, b in pairwise(starts)]


@pytest.mark.parametrize("split", [split_edges, split_offsets])
@pytest.mark.parametrize(
    "parts",
    [
        ["Anna wohnt in Zürich.", "Sie arbeitet bei der Bank Helva!", "Wo?", "In Genf…", "Ja."],
        ['Sie sagte: "Anna kommt."', '"Wann?" fragte er.', "Ich weiss es nicht (leider)."],
        ["Il a dit « oui. »", "Elle non."],
        ["He came.", "1998 was cold.", "(It was.)", "“Nothing.”", "Yes"],
        ["我住在伯尔尼。", "你呢？", "日内瓦"],  # noqa: RUF001
        ["أين تسكن؟", "في جنيف."],
        ["वह बर्न में रहता है।", "और तुम"],
    ],
)
def test_sentences_are_found(parts, split):
    blank = "" if "。" in parts[0] else " "
    assert sentences(blank.join(parts), split) == parts


@pytest.mark.parametrize(
    "text",
    [
        "St. Gallen und Dr. Meier, J. S. Bach am 1. Mai, Ludwig XIV. König von Frankreich",
        "die Firma a.k.a. Alpina und die U.S. Navy",
        "um 3.14 und www.uzh.ch usw. und so weiter",
        "Wo? sagte sie, und ... ging",
        "eine Zeile\nund noch eine",
    ],
)
def test_what_is_no_end(text):
    assert sentences(text) == [text]


def test_blank_lines_end_sentences():
    assert sentences("Titel\n\nder Text\n \nEnde") == ["Titel", "der Text", "Ende"]


def test_nothing():
    assert sentence_starts("", []) == []
