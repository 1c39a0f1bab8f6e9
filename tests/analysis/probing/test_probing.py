"""Probes on a few sentences written by hand: which sentences change, what flips, and scores counted on fingers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from ner.analysis.probing.changed_sets import ChangedSet, change_sentences, check_alignment, samples
from ner.analysis.probing.flips import flips, images
from ner.analysis.probing.name_lists import NameList, names_alone, names_in_carriers, read_names
from ner.analysis.probing.names import frequent_words, known_mentions, materials, slices, writable
from ner.analysis.probing.probes import ALL, NAMES, Material, chosen
from ner.analysis.probing.probing import (
    check_pairing,
    difference_intervals,
    dropped,
    make_sets,
    probe_language,
    probe_names,
)
from ner.data.arrow_store import TAGS as TAG_COLUMN
from ner.data.arrow_store import WORDS, flat_column
from ner.data.mention_changes import alone
from ner.data.spelling_changes import Changed, as_it_is, spelled
from ner.errors import InputError
from ner.evaluation.comparison import LabelPair
from ner.evaluation.inference import Predictions
from ner.evaluation.tested import ANYWHERE, Place, Progress
from ner.evaluation.tested import Tested as Said
from ner.tags import TagSet
from ner.utils import offsets_of
from tests.conftest import TAGS

IDS = TAGS.ids
FEATURES = Features({WORDS: [Value("string")], TAG_COLUMN: [ClassLabel(names=list(TAGS.names))]})


def rows_of(*sentences: str) -> Dataset:
    """`Anna/B-PER wohnt` -> a sentence; a word without a tag is O."""
    pairs = [
        [word.rpartition("/")[::2] if "/B-" in word or "/I-" in word else (word, "O") for word in s.split()]
        for s in sentences
    ]
    words = [[word for word, _ in pair] for pair in pairs]
    tags = [[IDS[tag] for _, tag in pair] for pair in pairs]
    return Dataset.from_dict({WORDS: words, TAG_COLUMN: tags}, features=FEATURES)


def texts(rows: Dataset) -> list[str]:
    return [" ".join(words) for words in rows[WORDS]]


@dataclass
class Dictionary:
    """Tags single words by a dictionary, exactly as they are written."""

    types: dict[str, str]
    tags: TagSet = TAGS
    how: str = ""
    calls: list[list[str]] = field(default_factory=list)

    def test(self, rows: Dataset, progress: Progress, place: Place = ANYWHERE) -> Said:
        self.calls.append(texts(rows))
        gold, sizes = flat_column(rows, TAG_COLUMN)
        words = [word for sentence in rows[WORDS] for word in sentence]
        found = np.array([IDS[f"B-{self.types[w]}"] if w in self.types else IDS["O"] for w in words], np.int64)
        numbers = np.zeros((3, len(gold)), np.float32)
        progress(len(rows))
        return Said(gold, offsets_of(sizes), Predictions(np.ones(len(gold), dtype=bool), found, *numbers))


def pair(rows: Dataset, predicted: Sequence[str]) -> LabelPair:
    gold, sizes = flat_column(rows, TAG_COLUMN)
    return LabelPair(gold, np.array([IDS[tag] for tag in predicted]), offsets_of(sizes), TAGS)


BEFORE = rows_of(
    "Anna/B-PER Keller/I-PER wohnt in Bern/B-LOC .", "Es regnet", "FC/B-ORG Zug/I-ORG schlägt Genf/B-ORG und Chur/B-ORG"
)


def lowered(rows: Dataset, group_size: int = 1) -> ChangedSet:
    return change_sentences(rows, lambda w, t, _: [spelled(w, t, str.lower)], random.Random(0), group_size)


def test_only_changed_sentences_are_in_a_set():
    changed = lowered(rows_of("es regnet", "Anna/B-PER geht", "in bern/B-LOC"))
    assert texts(changed.rows) == ["anna geht"]
    assert changed.origins.tolist() == [2, 3]
    assert changed.group.tolist() == [0, 1, 2]
    assert changed.group_of_row.tolist() == [1]
    assert changed.is_changed.tolist() == [False, True, False]


def test_five_sentences_as_one():
    """Groups of five; the last has what is left; a single sentence is no paragraph."""
    rows = rows_of(*[f"Satz {i}" for i in range(11)])
    changed = change_sentences(rows, lambda w, t, _: [as_it_is(w, t)], random.Random(0), 5)
    assert texts(changed.rows) == [" ".join(f"Satz {i}" for i in range(start, start + 5)) for start in (0, 5)]
    assert changed.group.tolist() == [0] * 5 + [1] * 5 + [2]
    assert changed.group_of_row.tolist() == [0, 1]
    assert changed.is_changed.tolist() == [True] * 10 + [False]
    assert changed.origins.tolist() == list(range(20))
    check_pairing(changed, rows)


def test_each_mention_alone():
    changed = change_sentences(BEFORE, lambda w, t, _: alone(w, t), random.Random(0))
    assert texts(changed.rows) == ["Anna Keller", "Bern", "FC Zug", "Genf", "Chur"]
    assert changed.origins.tolist() == [0, 1, 4, 8, 9, 11, 13]
    assert changed.group_of_row.tolist() == [0, 0, 2, 2, 2]
    check_pairing(changed, BEFORE)


def test_what_is_not_aligned_is_an_error():
    for wrong in (
        [Changed(["b", "a"], ["O", "O"], [1, 0])],  # another order
        [Changed(["a"], ["O"], [2])],  # of another sentence
        [Changed(["a"], ["O"], [-1])],  # of nowhere
        [Changed([], [], [])],
        [Changed(["a", "b"], ["O"], [0, 1])],
    ):
        with pytest.raises(AssertionError):
            check_alignment(wrong, 2)
    changed = lowered(BEFORE)
    for origins in (changed.origins + 1, changed.origins[::-1]):
        with pytest.raises(AssertionError):
            check_pairing(ChangedSet(changed.rows, origins, changed.group, changed.group_of_row), BEFORE)
    with pytest.raises(AssertionError):
        check_pairing(changed, rows_of("Es regnet"))


def test_flips_of_a_sentence_by_hand():
    """Found before: Anna Keller PER, Bern LOC, FC Zug ORG, Genf LOC, Chur LOC; and of an unchanged sentence: regnet."""
    rows = rows_of(
        "Anna/B-PER Keller/I-PER wohnt in Bern/B-LOC .", "es regnet", "FC/B-ORG Zug/I-ORG schlägt Genf/B-ORG und Chur"
    )
    before = pair(rows, "B-PER I-PER O O B-LOC O   O B-LOC   B-ORG I-ORG O B-LOC O B-LOC".split())
    changed = lowered(rows)
    assert changed.is_changed.tolist() == [True, False, True]
    # Anna kept, Bern lost, wohnt new; Zug re-bounded, Genf retyped, `und chur` of another type and with other bounds.
    after = pair(changed.rows, "B-PER I-PER B-ORG O O O   O B-ORG O B-ORG B-PER I-PER".split())
    words, new_words = flat_column(rows, WORDS)[0].tolist(), flat_column(changed.rows, WORDS)[0].tolist()
    found = flips(changed, before, after, words, new_words)
    assert found.counts == {"kept": 1, "lost": 1, "retyped": 2, "re-bounded": 1, "new": 1}
    assert (found.num_before, found.gone) == (5, 0)
    by_kind = {flip.kind: flip for flip in found.examples}
    assert [tuple(row.values()) for row in found.entities.to_pylist()] == [
        (0, "new", None, None, "wohnt", "ORG"),
        (0, "lost", "Bern", "LOC", None, None),
        (2, "re-bounded", "FC Zug", "ORG", "zug", "ORG"),
        (2, "retyped", "Genf", "LOC", "genf", "ORG"),
        (2, "retyped", "Chur", "LOC", "und chur", "PER"),
    ]
    lost = by_kind["lost"]
    assert (lost.sentence, lost.before) == (0, "[Anna Keller PER] wohnt in [Bern LOC] .")
    assert lost.after == "[anna keller PER] [wohnt ORG] in bern ."
    assert by_kind["new"].after == lost.after
    assert by_kind["re-bounded"].before == "[FC Zug ORG] schlägt [Genf LOC] und [Chur LOC]"
    assert by_kind["re-bounded"].after == "fc [zug ORG] schlägt [genf ORG] [und chur PER]"
    assert by_kind["re-bounded"].sentence == 2


def test_flips_where_words_are_joined_left_out_and_added():
    """`Bern .` becomes `Bern.`; one name becomes two words; an entity of a word that is left out is gone."""
    rows = rows_of("In Bern/B-LOC .", "Zug/B-LOC ruft")
    before = pair(rows, ["O", "B-LOC", "B-ORG", "B-LOC", "O"])
    new = rows_of("In Bern./B-LOC", "Bad/B-LOC Ragaz/I-LOC ruft laut")
    changed = ChangedSet(new, np.array([0, 1, 3, 3, 4, -1]), np.array([0, 1]), np.array([0, 1]))
    after = pair(new, ["O", "B-LOC", "B-LOC", "I-LOC", "O", "B-PER"])
    found = flips(changed, before, after, flat_column(rows, WORDS)[0].tolist(), flat_column(new, WORDS)[0].tolist())
    assert found.counts == {"kept": 2, "lost": 0, "retyped": 0, "re-bounded": 0, "new": 1}
    assert found.gone == 1
    assert found.entities.to_pylist() == [
        {"sentence": 1, "flip": "new", "before": None, "before_type": None, "after": "laut", "after_type": "PER"}
    ]
    (flip,) = found.examples
    assert (flip.sentence, flip.after) == (1, "[Bad Ragaz LOC] ruft [laut PER]")


def test_an_entity_that_is_in_two_sentences_now_is_gone():
    entities = np.array([[0, 2, 5], [3, 4, 2]])
    moved, is_there = images(entities, np.array([0, 1, 3]), np.array([0, 1, 3]), 4)
    assert is_there.tolist() == [False, True]
    assert moved[1].tolist() == [2, 3, 2]


def test_an_outcome_with_numbers_counted_by_hand():
    """Gold: Anna, Bern, Genf (ORG), Chur. Before: Anna, Bern found, Genf LOC: 2 of 3 predicted, 4 gold."""
    rows = rows_of("Anna/B-PER in Bern/B-LOC", "es regnet", "Genf/B-ORG und Chur/B-LOC")
    tagger = Dictionary({"Anna": "PER", "Bern": "LOC", "bern": "LOC", "Genf": "LOC", "genf": "ORG"})
    probes = chosen(["lower", "swiss", "seen", "unseen", "ambiguous"])
    sets = make_sets({"de": rows}, {"de": Material()}, probes, seed=0)["de"]
    known: dict[tuple[str, ...], set[str]] = {("Anna",): {"PER"}, ("Bern",): {"LOC", "ORG"}, ("Genf",): {"LOC"}}
    progress: list[int] = []
    lower, swiss, seen, unseen, ambiguous = probe_language(
        "runs/x", "de", tagger, rows, sets, probes, known, progress.append
    )
    assert tagger.calls == [["Anna in Bern", "es regnet", "Genf und Chur"], ["anna in bern", "genf und chur"]]
    assert sum(progress) == 5
    assert lower.before == pytest.approx(4 / 7)
    assert lower.after == pytest.approx(4 / 6)  # bern and genf ORG: 2 of 2 predicted
    assert lower.difference == pytest.approx(4 / 6 - 4 / 7)
    assert (lower.sentences, lower.changed, lower.gold, lower.measure) == (3, 2, 4, "F1")
    assert lower.flips
    assert lower.flips.counts == {"kept": 1, "lost": 1, "retyped": 1, "re-bounded": 0, "new": 0}
    assert (swiss.changed, swiss.before, swiss.after, swiss.difference) == (0, lower.before, lower.before, 0.0)
    assert (swiss.interval.low, swiss.interval.high, swiss.flips) == (0.0, 0.0, None)
    assert (seen.measure, seen.before, seen.after, seen.gold) == ("recall", 0.5, 1.0, 2)
    assert (unseen.after, unseen.gold, unseen.changed) == (0.0, 1, 1)  # Chur
    assert (ambiguous.after, ambiguous.gold) == (1.0, 1)  # Bern
    assert dropped([lower, unseen], 0.0) == []
    unknown = probe_language("runs/x", "de", tagger, rows, sets, probes, None, progress.append)
    assert [outcome.probe for outcome in unknown] == ["lower", "swiss"]


def test_a_paragraph_is_compared_with_its_sentences_together():
    """Two groups: the five of the first have 5 gold, 5 found before; as one, the tagger finds nothing in long rows."""
    rows = rows_of(*["Bern/B-LOC ."] * 7)
    probes = chosen(["paragraph"])
    sets = make_sets({"de": rows}, {"de": Material()}, probes, seed=0)["de"]

    class OfShortRows(Dictionary):
        def test(self, rows: Dataset, progress: Progress, place: Place = ANYWHERE) -> Said:
            is_long = len(rows[0][WORDS]) > 4
            return Dictionary({} if is_long else self.types).test(rows, progress)

    (outcome,) = probe_language("x", "de", OfShortRows({"Bern": "LOC"}), rows, sets, probes, None, lambda _: None)
    assert (outcome.before, outcome.after, outcome.changed, outcome.gold) == (1.0, 0.0, 7, 7)
    assert (outcome.interval.low, outcome.interval.high) == (-1.0, -1.0)
    assert dropped([outcome], 0.99) == [outcome]
    assert dropped([outcome], 1.0) == []


def test_intervals_are_paired_and_do_not_depend_on_what_else_is_asked():
    rng = np.random.default_rng(0)
    gold = rng.integers(1, 3, 40)
    first, second = (np.stack([rng.integers(0, gold + 1), gold, gold], axis=1) for _ in range(2))
    grouped = first.reshape(8, 5, 3).sum(axis=1), second.reshape(8, 5, 3).sum(axis=1)
    together = difference_intervals([(first, second), grouped, (first, first)])
    assert together[:2] == [difference_intervals([pair])[0] for pair in ((first, second), grouped)]
    assert (together[2].low, together[2].high) == (0.0, 0.0)
    assert together[0].low < together[0].high


def test_slices_of_mentions():
    training = rows_of("Bern/B-LOC", "Bern/B-ORG und Anna/B-PER Keller/I-PER", "Zug/B-LOC")
    known = known_mentions([training])
    assert known == {("Bern",): {"LOC", "ORG"}, ("Anna", "Keller"): {"PER"}, ("Zug",): {"LOC"}}
    words = "Bern Anna Keller Zug Anna".split()
    types = [TAGS.types.index(name) for name in ("LOC", "PER", "ORG", "PER")]
    gold = (np.array([0, 1, 3, 4]), np.array([1, 3, 4, 5]), np.array(types))
    found = slices(words, gold, TAGS.types, known)
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "seen": [True, True, False, False],  # Zug was no organisation
        "unseen": [False, False, False, True],
        "ambiguous": [True, False, False, False],
    }


def test_what_names_are_drawn_from():
    tested = {"de": rows_of("Genf/B-LOC und Bern/B-LOC"), "fr": rows_of("Genève/B-LOC et Berne/B-LOC et Bern/B-LOC")}
    trained = {"de": [rows_of("Genf/B-LOC Anna/B-PER")], "it": [rows_of("Ginevra/B-LOC")]}
    of_german = materials(tested, trained)["de"]
    assert of_german.unseen == {"LOC": [("Bern",)]}
    assert of_german.foreign == {"LOC": [("Genève",), ("Berne",), ("Ginevra",)]}  # and not Bern
    of_french = materials(tested, trained)["fr"]
    assert of_french.unseen == {"LOC": [("Genève",), ("Berne",), ("Bern",)]}
    assert of_french.foreign == {"LOC": [("Genf",), ("Ginevra",)], "PER": [("Anna",)]}
    assert frequent_words(rows_of("der und der Der 1 und/B-ORG der", "ab")) == ["der", "ab", "und"]


def test_foreign_names_that_the_tags_can_not_say():
    names: dict[str, list[tuple[str, ...]]] = {"LOC": [("Bad", "Ragaz"), ("Bern",)], "ORG": [("FC", "Zug")]}
    tags = TagSet(("O", "B-LOC", "B-ORG", "I-ORG"))
    assert writable(names, tags) == {"LOC": [("Bern",)], "ORG": [("FC", "Zug")]}


def test_a_list_is_read(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text('AD,"University of X, Y",u\nCH,ETH Zürich,e\nCH,ETH  Zürich,e\nDE,,\nDE\n', encoding="utf-8")
    expected = (("University", "of", "X", ",", "Y"), ("ETH", "Zürich"))
    assert read_names(f"ORG={file}:1") == NameList("ORG", str(file), expected)
    file.write_text("code,name\nCH,ETH Zürich\n", encoding="utf-8-sig")
    assert read_names(f"ORG={file}:name").names == (("ETH", "Zürich"),)
    assert read_names(f"ORG={file}").names == (("code",), ("CH",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file.csv", "give TYPE=FILE:COLUMN"),
        ("=file.csv:1", "give TYPE=FILE:COLUMN"),
        ("ORG={}/none.csv:1", "No such file"),
        ("ORG={}/list.csv:title", "no column 'title'"),
        ("ORG={}/list.csv:7", "no name in column '7'; columns count from 0"),
        ("ORG={}/empty.csv:0", "empty"),
        ("ORG={}/latin.csv:0", "not a CSV file in UTF-8"),
    ],
)
def test_a_list_that_is_none(tmp_path, text, message):
    (tmp_path / "list.csv").write_text("a,b\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    (tmp_path / "latin.csv").write_bytes(b"Z\xfcrich\n")
    with pytest.raises(InputError, match=message):
        read_names(text.format(tmp_path))


def test_names_of_a_list_in_carriers():
    """Carriers have one organisation and a word outside of entities."""
    rows = rows_of("FC/B-ORG Zug/I-ORG gewinnt in Bern/B-LOC", "UNO/B-ORG", "UNO/B-ORG und EU/B-ORG", "es regnet")
    names = NameList("ORG", "list.csv", (("Alpina",), ("ETH", "Zürich")))
    alone_rows = names_alone(names, rows)
    assert texts(alone_rows.rows) == ["Alpina", "ETH Zürich"]
    made = names_in_carriers(names, rows, "0")
    assert texts(made.rows) == ["Alpina gewinnt in Bern"] * 3 + ["ETH Zürich gewinnt in Bern"] * 3
    assert made.rows[5][TAG_COLUMN] == [IDS[tag] for tag in ("B-ORG", "I-ORG", "O", "O", "B-LOC")]
    assert (made.name.tolist(), made.start.tolist()) == ([0] * 3 + [1] * 3, [0] * 6)
    assert len(names_in_carriers(names, rows_of("UNO/B-ORG"), "0").rows) == 0
    assert names_in_carriers(names, rows, "0").rows[:] == made.rows[:]


def test_what_becomes_of_a_list():
    rows = rows_of("In Bern/B-LOC ruft UNO/B-ORG laut")
    names = NameList("ORG", "list.csv", (("Alpina",), ("ETH",), ("Alpina", "AG"), ("Helva",)))
    tagger = Dictionary({"Alpina": "ORG", "ETH": "PER"})
    found = probe_names("x", "alone", tagger, names, names_alone(names, rows), lambda _: None)
    assert (found.recall, found.names, found.sentences) == (0.25, 4, 4)
    assert (found.wrong_type, found.wrong_boundary, found.missed) == ({"PER": 1}, 1, 1)
    assert [(f.name, f.kind, f.found) for f in found.failures] == [
        ("ETH", "wrong type", "PER"),
        ("Alpina AG", "boundary error", "ORG"),
        ("Helva", "missed", ""),
    ]
    carried = probe_names("x", "de", tagger, names, names_in_carriers(names, rows, "0"), lambda _: None)
    assert (carried.recall, carried.sentences, carried.missed) == (0.25, 12, 3)
    assert carried.failures[0].text == "In Bern ruft ETH laut"


def test_the_registry():
    assert len(set(NAMES)) == len(NAMES) == len(ALL)
    assert [probe.name for probe in chosen(["upper", "lower"])] == ["lower", "upper"]
    with pytest.raises(InputError, match="no probe lowre; there are lower upper"):
        chosen(["lowre"])


@pytest.mark.parametrize("probe", [probe for probe in ALL if probe.change], ids=lambda probe: probe.name)
def test_every_probe_changes_what_it_says_and_the_same_each_time(probe: Any):
    rows = rows_of(
        "Der Präsident von Genf/B-LOC , „ Hans/B-PER Groß/I-PER “ , hat l'école in Bern/B-LOC gesehen .",
        "Die UNO/B-ORG bleibt dort .",
    )
    material = Material(["und", "der"], {"LOC": [["Chur"]]}, {"LOC": [["Coire"]], "PER": [["Jean"]]})
    changed, again = (probe.apply(rows, material, "0 de") for _ in range(2))
    assert changed.is_changed[0]
    assert changed.rows[:] == again.rows[:]
    assert changed.origins.tolist() == again.origins.tolist()
    check_pairing(changed, rows)
    (before, after), *_ = samples(rows, changed)
    assert before != after
    assert "[Genf LOC]" in before
