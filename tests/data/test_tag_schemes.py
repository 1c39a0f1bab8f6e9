import numpy as np
import pytest
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from ner.data.tag_schemes import ParsedLabels, SchemeConverter, SchemeStats, collected_tags, declared_tags, parse_map
from ner.tags import TagSet, entities, first_words
from ner.utils import offsets_of


def convert(
    sentences: list[list[str]], mapping: dict[str, str] | None = None, *, repair: bool = True
) -> tuple[list[list[str]], SchemeStats]:
    """IOB2 names of sentences in any scheme."""
    flat = [tag for sentence in sentences for tag in sentence]
    names = ParsedLabels.of(flat)
    tags = collected_tags(names, flat, mapping or {})
    start = first_words(offsets_of([len(sentence) for sentence in sentences]))
    converter = SchemeConverter(names, mapping or {}, tags, repair=repair)
    ids, tally = converter(np.array([names.names.index(tag) for tag in flat]), start)
    new = iter(tags.names[i] for i in ids)
    return [[next(new) for _ in sentence] for sentence in sentences], tally


def one(text: str, mapping: dict[str, str] | None = None) -> tuple[str, str, int]:
    """Tags after conversion, the scheme that was found, and illegal words."""
    (tags,), tally = convert([text.split()], mapping)
    return " ".join(tags), tally.scheme, tally.repaired


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-LOC", ("B-PER I-PER O B-LOC", "IOB2", 0)),
        ("I-PER I-PER B-PER O I-LOC", ("B-PER I-PER B-PER O B-LOC", "IOB1", 0)),
        ("B-PER I-PER E-PER S-LOC O", ("B-PER I-PER I-PER B-LOC O", "IOBES", 0)),
        ("U-PER B-LOC L-LOC U-LOC O", ("B-PER B-LOC I-LOC B-LOC O", "BILOU", 0)),
        ("PER PER LOC O LOC", ("B-PER I-PER B-LOC O B-LOC", "plain types", 0)),
        ("person-actor O", ("B-person-actor O", "plain types", 0)),
    ],
)
def test_schemes(tags, expected):
    assert one(tags) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-PER B-LOC I-LOC", ("O B-PER B-LOC I-LOC", "IOB2", 1)),
        ("B-PER I-LOC I-LOC", ("B-PER B-LOC I-LOC", "IOB2", 1)),
        ("S-LOC I-LOC O B-PER", ("B-LOC B-LOC O B-PER", "IOBES", 3)),  # each of the last three
        ("E-PER E-PER O", ("B-PER B-PER O", "IOBES", 2)),
    ],
)
def test_illegal_sequences_are_repaired_and_counted(tags, expected):
    assert one(tags) == expected


def test_sentences_do_not_run_into_each_other():
    tags, tally = convert([["B-PER"], ["I-PER", "I-PER"], ["I-PER", "O"]])
    assert tags == [["B-PER"], ["B-PER", "I-PER"], ["B-PER", "O"]]
    assert tally.not_iob2 == 2


def random_entities(rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """(type, first, last) of entities in up to 12 words, some side by side."""
    found, word = [], int(rng.integers(3))
    while word < 10:
        length = int(rng.integers(1, 4))
        found.append((str(rng.choice(["PER", "LOC"])), word, word + length - 1))
        word += length + int(rng.integers(3))
    return found


def write(found: list[tuple[str, int, int]], scheme: str) -> list[str]:
    """Tags of entities in a scheme."""
    tags = ["O"] * 14
    before = ("", -1)
    for kind, first, last in found:
        single, begin, end = tuple({"IOBES": "SBE", "BILOU": "UBL"}.get(scheme, "BBI"))
        if scheme == "IOB1" and before != (kind, first - 1):
            single = begin = "I"
        tags[first : last + 1] = [f"I-{kind}"] * (last - first + 1)
        tags[first], tags[last] = f"{begin}-{kind}", f"{end}-{kind}"
        if first == last:
            tags[first] = f"{single}-{kind}"
        before = (kind, last)
    return tags


@pytest.mark.parametrize(("scheme", "theirs"), [("IOB1", IOB1), ("IOB2", IOB2), ("IOBES", IOBES), ("BILOU", BILOU)])
def test_random_entities_come_back_as_seqeval_reads_them(scheme, theirs):
    rng = np.random.default_rng(0)
    sentences = [write(random_entities(rng), scheme) for _ in range(300)]
    converted, tally = convert(sentences)
    assert (tally.scheme, tally.repaired) == (scheme, 0)
    tags = TagSet.collect(tag for sentence in converted for tag in sentence)
    expected = Entities(sentences, scheme=theirs).entities
    for sentence, gold in zip(converted, expected, strict=True):
        ids = np.array([tags.ids[tag] for tag in sentence])
        found = zip(*entities(ids, np.arange(len(ids)) == 0, tags, "strict"), strict=True)
        assert [(tags.types[kind], first, end) for first, end, kind in found] == [
            (entity.tag, entity.start, entity.end) for entity in gold
        ]


def test_mapping():
    assert one("B-GPE B-LOC I-LOC B-MISC I-MISC", {"GPE": "LOC", "MISC": "O"})[0] == "B-LOC B-LOC I-LOC O O"
    assert one("GPE LOC O", {"GPE": "LOC"})[0] == "B-LOC B-LOC O"  # still two entities
    assert parse_map("MISC=O, GPE=LOC,") == {"MISC": "O", "GPE": "LOC"}
    assert parse_map(None) == {}
    for bad in ("MISC", "=O", "MISC=", "B-MISC=O", "A=B,A=C"):
        with pytest.raises(ValueError, match="`map_tags`"):
            parse_map(bad)


@pytest.mark.parametrize(
    ("tags", "mapping", "expected"),
    [
        ("O I-PER I-PER B-LOC I-PER O", {}, "O I-PER I-PER B-LOC I-PER O"),
        ("B-LOC I-LOC B-LOC", {}, "B-LOC I-LOC B-LOC"),
        ("I-GPE I-GPE I-MISC I-LOC", {"GPE": "LOC", "MISC": "O"}, "I-LOC I-LOC O I-LOC"),
        ("B-GPE I-GPE I-LOC", {"GPE": "LOC"}, "B-LOC I-LOC B-LOC"),  # still two entities
    ],
)
def test_what_is_not_repaired(tags, mapping, expected):
    (found,), _ = convert([tags.split()], mapping, repair=False)
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("names", "mapping", "expected"),
    [
        ("O B-PER I-PER B-ORG I-ORG", {}, "O B-PER I-PER B-ORG I-ORG"),
        ("I-PER B-PER O", {}, "I-PER B-PER O"),  # somebody's ids
        ("O I-PER I-LOC", {}, "O B-PER I-PER B-LOC I-LOC"),
        ("O PER LOC", {}, "O B-PER I-PER B-LOC I-LOC"),
        ("O B-PER I-PER E-PER S-PER", {}, "O B-PER I-PER"),
        ("O B-MISC I-MISC B-GPE I-GPE B-LOC I-LOC", {"MISC": "O", "GPE": "LOC"}, "O B-LOC I-LOC"),
    ],
)
def test_declared_names(names, mapping, expected):
    assert declared_tags(names.split(), mapping).names == tuple(expected.split())


def test_malformed_names():
    assert ParsedLabels.of(["O", "B-PER", "PER", ""]).malformed == {"PER", ""}
    assert ParsedLabels.of(["O", "PER", " "]).malformed == {" "}
    assert ParsedLabels.of(["O", "B-", "I-X", "I-X "]).malformed == {"B-", "I-X "}
    assert len(ParsedLabels.of(["O", *map(str, range(5000))]).malformed) == 5000  # words where tags should be
    with pytest.raises(ValueError, match="malformed tags among the names: 'PER'"):
        declared_tags(["O", "B-LOC", "PER"], {})
