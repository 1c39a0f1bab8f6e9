import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from ner.cli import tokens as tokens_command
from ner.inputs import encoding, encoding_cache
from ner.inputs.encoding import IGNORED, encode
from ner.inputs.encoding_cache import encode_once
from ner.modeling.pretrained import load_tokenizer
from tests.conftest import TAGS
from tests.processes import SECONDS, forked


def dataset(*rows: tuple[str, str]) -> Dataset:
    names = list(TAGS.names)
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    return Dataset.from_dict(
        {"tokens": [r[0].split(" ") for r in rows], "ner_tags": [[names.index(t) for t in r[1].split()] for r in rows]},
        features,
    )


SENTENCE = dataset(("Ursula Bernasconi wohnt in Winterthur", "B-PER I-PER O O B-LOC"))


def test_first_subtoken_is_labelled(tokenizer):
    encoded = encode(SENTENCE, tokenizer, TAGS, max_length=128)
    words = tokenizer(SENTENCE[0]["tokens"], is_split_into_words=True).word_ids()
    assert len(words) > 7  # some word takes several sub-tokens
    expected = [IGNORED if w is None or words[i - 1] == w else SENTENCE[0]["ner_tags"][w] for i, w in enumerate(words)]
    assert encoded.labels.tolist() == expected
    assert encoded.words[encoded.words >= 0].tolist() == [0, 1, 2, 3, 4]
    assert encoded.num_labels([0]) == 5


def test_all_subtokens_go_on_as_inside(tokenizer):
    encoded = encode(SENTENCE, tokenizer, TAGS, max_length=128, label_tokens="all")
    words = tokenizer(SENTENCE[0]["tokens"], is_split_into_words=True).word_ids()
    gold = SENTENCE[0]["ner_tags"]
    expected = [
        IGNORED if w is None else TAGS.inside[gold[w]] if words[i - 1] == w else gold[w] for i, w in enumerate(words)
    ]
    assert encoded.labels.tolist() == expected
    assert (encoded.words >= 0).sum() == 5  # scoring stays per word


@pytest.mark.parametrize("max_length", [5, 8, 11, 16, 30])
@pytest.mark.parametrize("label_tokens", ["first", "all"])
def test_windows_score_every_word_exactly_once(german, tokenizer, max_length, label_tokens):
    rows = german.select(range(200))
    encoded = encode(rows, tokenizer, TAGS, max_length=max_length, label_tokens=label_tokens)
    assert len(encoded) > len(rows) or max_length == 30
    lengths = np.diff(encoded.offsets)
    assert encoded.longest == lengths.max() <= max_length
    assert encoded.lengths([3, 0, 3]).tolist() == lengths[[3, 0, 3]].tolist()
    assert sorted(encoded.words[encoded.words >= 0].tolist()) == list(range(len(encoded.gold)))
    assert encoded.gold.tolist() == [tag for row in rows["ner_tags"] for tag in row]
    at = encoded.words >= 0
    assert (encoded.labels[at] == encoded.gold[encoded.words[at]]).all()
    assert encoded.num_labels(range(len(encoded))) == (encoded.labels != IGNORED).sum()
    assert encoded.num_labels([1]) == (encoded[1]["labels"] != IGNORED).sum()
    # At a word's token stands the word's first sub-token, not one from its middle.
    for token in np.flatnonzero(at)[:300]:
        sentence = np.searchsorted(encoded.word_offsets, encoded.words[token], side="right") - 1
        word = rows[int(sentence)]["tokens"][encoded.words[token] - encoded.word_offsets[sentence]]
        assert tokenizer([word], is_split_into_words=True)["input_ids"][1] == encoded.input_ids[token]


def test_a_word_is_scored_where_it_has_most_context(tokenizer):
    text = " ".join(["in"] * 40)
    encoded = encode(dataset((text, " ".join(["O"] * 40))), tokenizer, TAGS, max_length=22)
    (width,) = {len(tokenizer(["in"], is_split_into_words=True)["input_ids"]) - 2}
    assert width == 1
    assert len(encoded) == 3  # 20 words a window, 5 shared
    scored = [encoded[w]["words"][encoded[w]["words"] >= 0] for w in range(3)]
    assert [len(words) for words in scored] == [18, 15, 7] or [len(words) for words in scored] == [17, 15, 8]
    assert np.concatenate(scored).tolist() == list(range(40))


@pytest.mark.parametrize("max_length", [8, 12, 128])
def test_sub_tokens_of_words(german, tokenizer, max_length):
    rows = german.select(range(200))
    encoded = encode(rows, tokenizer, TAGS, max_length=max_length)
    words = [word for sentence in rows["tokens"] for word in sentence]
    expected = [tokenizer([word], is_split_into_words=True)["input_ids"][1:-1] for word in words]
    for start in range(0, len(words), 100):
        end = min(start + 100, len(words))
        ids = np.split(encoded.sub_tokens(start, end), np.cumsum(encoded.num_sub_tokens[start:end])[:-1])
        for own, whole in zip(ids, expected[start:end], strict=True):
            assert own.tolist() == whole[: len(own)]
            assert len(own) == len(whole) or 0 < len(own) >= (max_length - 2) // 4  # no window holds all of the word
            assert len(own) == len(whole) or max_length < 128


def test_a_word_without_a_subtoken_stays_in_gold(tokenizer):
    rows = dataset(("Anna \u00ad wohnt", "B-PER B-LOC O"), ("\u00ad", "B-ORG"))
    encoded = encode(rows, tokenizer, TAGS, max_length=32)
    assert len(encoded.gold) == 4
    assert encoded.words[encoded.words >= 0].tolist() == [0, 2]
    assert (encoded.num_sub_tokens > 0).tolist() == [True, False, True, False]
    assert (encoded.scored_at >= 0).tolist() == [True, False, True, False]
    assert len(encoded.sub_tokens(1, 2)) == 0
    assert len(encoded) == encoded.num_sentences == 2


def test_windows_of_a_sentence_are_found(encoded):
    sentences = np.array([3, 0, encoded.num_sentences - 1, 3])
    for sentence, windows in zip(sentences, encoded.windows_of(sentences), strict=True):
        assert list(windows) == np.flatnonzero(encoded.sentence == sentence).tolist()


def test_arrays_are_read_in_parts(encoded, monkeypatch):
    longest, counts, used = encoded.longest, encoded.label_counts(9), encoded.used_ids(300)
    assert used.sum() == len(np.unique(encoded.input_ids)) < 300
    fingerprint = encoded.fingerprint()
    monkeypatch.setattr("ner.utils.ROWS_PER_PART", 7)
    again = replace(encoded)
    assert (again.longest, again.label_counts(9).tolist()) == (longest, counts.tolist())
    assert (again.used_ids(300) == used).all()
    assert again.fingerprint() == fingerprint


def test_no_sentences(tokenizer):
    empty = SENTENCE.select([])
    encoded = encode(empty, tokenizer, TAGS, max_length=32)
    assert len(encoded) == encoded.num_sentences == len(encoded.gold) == 0


def test_too_short_windows_are_refused(tokenizer):
    with pytest.raises(ValueError, match="`max_length`"):
        encode(SENTENCE, tokenizer, TAGS, max_length=3)


def test_progress_counts_sentences(german, tokenizer):
    seen: list[int] = []
    encode(german, tokenizer, TAGS, max_length=128, progress=seen.append)
    assert sum(seen) == len(german)


def test_encoders_side_by_side(encoder_folder, tokenizer, capsys):
    text = "Ursula Bernasconi, Bern"
    tokens_command.main(["--model", str(encoder_folder), str(encoder_folder), "--text", text])
    printed = capsys.readouterr().out
    first, again = printed.strip().split("\n\n")[1::2]
    assert first == again
    pieces, words, labels = (
        [cell.strip() for cell in line.strip("|").split("|")][1:] for i, line in enumerate(first.splitlines()) if i != 1
    )
    expected = tokenizer(["Ursula", "Bernasconi", ",", "Bern"], is_split_into_words=True)
    assert pieces == tokenizer.convert_ids_to_tokens(expected["input_ids"])
    assert [word.split(" ")[0] for word in words] == ["" if w is None else str(w) for w in expected.word_ids()]
    assert labels.count("yes") == 4
    assert [word.split(" ")[1] for word, label in zip(words, labels, strict=True) if label] == [
        "Ursula",
        "Bernasconi",
        ",",
        "Bern",
    ]
    tokens_command.main(["--model", str(encoder_folder), "--text", text, "--label-tokens", "all"])
    assert capsys.readouterr().out.count("yes") == len(pieces) - 2
    for arguments in (["--text", "  "], ["--text", "a", "--model", "no/such/model"]):
        with pytest.raises(SystemExit) as caught:
            tokens_command.main(["--model", str(encoder_folder), *arguments])
        assert caught.value.code == 2


@pytest.mark.parametrize("max_length", [12, 128])
def test_sub_tokens_are_those_of_transformers(german, tokenizer, max_length):
    """The tokenizer is called below transformers' own, with the same windows."""
    rows = german.select(range(300))
    encoded = encode(rows, tokenizer, TAGS, max_length=max_length)
    room = max_length - tokenizer.num_special_tokens_to_add()
    expected = tokenizer(
        rows["tokens"][:],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=room // 4,
        return_overflowing_tokens=True,
    )
    assert [encoded[i]["input_ids"].tolist() for i in range(len(encoded))] == expected["input_ids"]
    assert encoded.sentence.tolist() == expected["overflow_to_sample_mapping"]


def test_no_truncation_is_left_in_the_tokenizer(german, encoder_folder, tmp_path):
    tokenizer = load_tokenizer(str(encoder_folder))
    before = tokenizer.backend_tokenizer.to_str()
    encode(german.select(range(5)), tokenizer, TAGS, max_length=12)
    assert tokenizer.backend_tokenizer.to_str() == before


def same(one: encoding.Encoded, other: encoding.Encoded) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(encoding.Encoded))


def test_encoded_once(german, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    rows = german.select(range(50))
    first = encode_once(rows, tokenizer, TAGS, max_length=16)
    assert same(first, encode(rows, tokenizer, TAGS, max_length=16))

    def broken(*_, **__):
        raise AssertionError("encoded again")

    with monkeypatch.context() as patch:
        patch.setattr(encoding_cache, "encode", broken)
        copy = Dataset.from_dict(rows[:], rows.features)  # equal content, another fingerprint
        assert same(encode_once(copy, tokenizer, TAGS, max_length=16), first)
        for changed in ({"max_length": 17}, {"label_tokens": "all"}):
            with pytest.raises(AssertionError, match="again"):
                encode_once(rows, tokenizer, TAGS, **({"max_length": 16} | changed))
        with pytest.raises(AssertionError, match="again"):
            encode_once(rows.select(range(49)), tokenizer, TAGS, max_length=16)
    assert not list(tmp_path.glob("ner-unfinished-*"))


@pytest.mark.parametrize("label_tokens", ["first", "all"])
def test_sentences_are_encoded_in_parts(german, tokenizer, monkeypatch, tmp_path, label_tokens):
    """As if at once, at every size of a part; nothing is kept in memory."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    settings = {"max_length": 16, "label_tokens": label_tokens}
    for size, part in ((50, 7), (50, 50), (50, 25), (1, 1), (0, 5)):
        monkeypatch.setattr("ner.inputs.encoding_cache.SENTENCES_PER_PART", part)
        rows = german.select(np.arange(size))
        found = encode_once(rows, tokenizer, TAGS, **settings)
        assert same(found, encode(rows, tokenizer, TAGS, **settings))
        assert isinstance(found.input_ids.base, np.memmap) == (size > 0)
        shutil.rmtree(tmp_path)


def test_a_damaged_cache_is_made_again(german, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    rows = german.select(range(50))
    first = encode(rows, tokenizer, TAGS, max_length=16)
    encode_once(rows, tokenizer, TAGS, max_length=16)
    (file,) = tmp_path.glob("ner-*/input_ids")
    for damage in (lambda: file.write_bytes(file.read_bytes()[:100]), file.unlink):
        damage()
        assert same(encode_once(rows, tokenizer, TAGS, max_length=16), first)


def test_two_processes_encode_at_once(corpus_folder, encoder_folder, tmp_path):
    program = f"""
import datasets
datasets.config.HF_DATASETS_CACHE = {str(tmp_path)!r}
from ner.data.corpus import Source, load_corpus
from ner.inputs.encoding_cache import encode_once
from ner.modeling.pretrained import load_tokenizer
corpus = load_corpus(Source({str(corpus_folder)!r}), ["de"], ["train"])
tokenizer = load_tokenizer({str(encoder_folder)!r})
print(encode_once(corpus["de"]["train"], tokenizer, corpus.tags, max_length=16).fingerprint())
"""
    with forked(program) as one, forked(program) as two:
        assert [one.wait(SECONDS), two.wait(SECONDS)] == [0, 0]
        assert one.output.splitlines()[-1] == two.output.splitlines()[-1] != ""
    assert len(list(tmp_path.glob("ner-*/input_ids"))) == 1
    assert not list(tmp_path.glob("ner-unfinished-*"))
