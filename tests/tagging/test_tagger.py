"""Texts -> entities: against transformers' pipeline, in any script, at any length, with any labels."""

import os
import pickle
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from datasets.fingerprint import Hasher
from transformers import BertConfig, BertForTokenClassification, BertTokenizer, pipeline

from ner.data import synthetic
from ner.data.corpus import Source, load_corpus
from ner.tagging.document import Entity
from ner.tagging.tagger import Tagger
from tests.bench.tagging import has_bare_blank, of_ours, of_pipeline
from tests.processes import fork
from tests.taggers import LABELS, write_tagger


@pytest.fixture(scope="session")
def folder(encoder_folder, tmp_path_factory):
    return write_tagger(tmp_path_factory.mktemp("taggers") / "attends", encoder_folder)


@pytest.fixture(scope="session")
def tagger(folder):
    return Tagger.from_pretrained(str(folder), precision="no")


@pytest.fixture(scope="session")
def by_word(encoder_folder, tmp_path_factory):
    """Tags a word by its first sub-token alone."""
    path = write_tagger(tmp_path_factory.mktemp("taggers") / "by-word", encoder_folder, num_layers=0)
    return Tagger.from_pretrained(str(path), precision="no")


@pytest.fixture(scope="session")
def sentences():
    return [row["tokens"] for language in synthetic.LANGUAGES for row in synthetic.sentences(language, "validation")]


def test_entities_are_those_of_the_pipeline(folder, tagger, sentences):
    classifier = pipeline("token-classification", model=str(folder), aggregation_strategy="first")
    texts = [" ".join(words) for words in sentences]
    texts = [text for text in texts if not has_bare_blank(text, classifier)]
    assert len(texts) > 400
    ours = replace(tagger, words="spaces")(texts)
    theirs = classifier(texts, batch_size=16)
    assert sum(map(len, ours)) > 1000
    assert [of_ours(found) for found in ours] == [
        of_pipeline(text, found) for text, found in zip(texts, theirs, strict=True)
    ]
    scores = [[entity["score"] for entity in found] for found in theirs]
    np.testing.assert_allclose([entity.score for found in ours for entity in found], np.concatenate(scores), atol=1e-5)


def test_word_pieces(sentences, tmp_path):
    """A tokenizer of another kind: the pipeline's words are then what stands between marks, too."""
    letters = sorted({letter for words in sentences for word in words for letter in word})
    whole = sorted({word for words in sentences[::2] for word in words if word.isalpha()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *whole]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=64).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=1.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    BertForTokenClassification(config).save_pretrained(tmp_path)
    classifier = pipeline("token-classification", model=str(tmp_path), aggregation_strategy="first")
    texts = [" ".join(words) for words in sentences[:200]]
    ours = Tagger.from_pretrained(str(tmp_path), precision="no", words="punctuation")
    found = [of_ours(found) for found in ours(texts)]
    assert sum(map(len, found)) > 100
    assert found == [of_pipeline(text, predicted) for text, predicted in zip(texts, classifier(texts), strict=True)]


PANX = os.environ.get("PANX")
ROOT = Path(__file__).parent.parent.parent
PIECES = [
    *"Bern Zürich Straße l'Italie Saint-Étienne U.S.A. 2:1 Prof. ( ) « » “Ja” … — ! ? . , ½ ﬁn Å İstanbul ǅ".split(),
    *"C++ @uzh #nlp https://www.uzh.ch/de?x=1 a_b 🏔️ 👨‍👩‍👧‍👦 🇨🇭 Αθήνα Москва ירושלים القدس، مدينة नई दिल्ली".split(),
    *"กรุงเทพ 東京 東京タワーに 北京市。 서울특별시".split(),
    *("Zu\u0308rich", "e\u0301te\u0301", "\u00ad", "\u200b", "\u200d", "a\u00adb", "\u0301", "x\u0301\u0323"),
]
GAPS = [" ", " ", " ", "  ", "\n", "\n\n", "\t", "\u00a0", "\u2003", "\u3000", "\r\n", "", ""]


def generated(seed: int, number: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice(PIECES) + rng.choice(GAPS) for _ in range(rng.randint(0, 25))) for _ in range(number)]


def num_sound_entities(tagger: Tagger, texts: list[str]) -> int:
    """Entities of texts whose words and entities stand where they say."""
    num_entities = 0
    for text, tagged in zip(texts, tagger.tag(texts), strict=True):
        assert tagged.text == text
        assert len(tagged.words) == len(tagged.tags) == len(tagged.scores)
        ends = [0, *(place for word in tagged.words for place in word), len(text)]
        assert ends == sorted(ends)
        assert all(start < end for start, end in tagged.words)
        assert not "".join(text[a:b] for a, b in zip(ends[::2], ends[1::2], strict=True)).strip()  # nothing is left out
        for entity in tagged.entities:
            assert text[entity.start : entity.end] == entity.text
            assert entity.start in {start for start, _ in tagged.words}
            assert entity.end in {end for _, end in tagged.words}
            assert 0 < entity.score <= 1
        assert all(one.end <= other.start for one, other in pairwise(tagged.entities))
        num_entities += len(tagged.entities)
    return num_entities


@pytest.mark.parametrize("words", ["edges", "punctuation", "spaces"])
def test_offsets_in_every_script(by_word, words):
    assert num_sound_entities(replace(by_word, words=words), generated(0, 1500)) > 1000


@pytest.mark.skipif(PANX is None, reason="PANX names no folder with PAN-X in Hub layout")
@pytest.mark.parametrize("language", synthetic.LANGUAGES)
def test_offsets_in_the_published_corpus(tagger, language):
    assert PANX
    rows = load_corpus(Source(PANX, sample=("all",)), [language], ["test"])[language]["test"]
    assert num_sound_entities(tagger, [" ".join(words) for words in rows[:1000]["tokens"]]) > 1000


def test_the_right_word_is_tagged_in_every_script(by_word):
    """What the model says of each word is what it says of the word alone, wherever it stands."""
    for text, tagged in zip(texts := generated(1, 500), by_word.tag(texts), strict=True):
        words = [text[start:end] for start, end in tagged.words]
        alone = [next(iter(predicted.tags)) for predicted in by_word.tag([[word] for word in words])]
        kinds = [tag[2:] for tag in tagged.tags]
        assert kinds == [tag[2:] for tag in alone]


def test_words_of_lists_and_texts(tagger, sentences):
    """A list of words is the text that they make, and comes back in its order whatever its length."""
    by_lists = tagger(sentences)
    texts = [" ".join(words) for words in sentences]
    assert by_lists == replace(tagger, words="spaces")(texts)
    assert tagger(sentences[::-1]) == by_lists[::-1]
    assert [tagger([words])[0] for words in sentences[:20]] == by_lists[:20]
    assert tagger(texts[0]) == tagger(texts[:1])[0]
    assert all(isinstance(entity, Entity) for found in by_lists for entity in found)


def test_texts_are_read_by_sentence(tagger):
    parts = ["Anna Keller wohnt in Bern.", "Sie arbeitet bei der Bank Helva in Genf!", "Am Montag"]
    (whole,) = tagger.tag([" ".join(parts)])
    assert whole.tags == [tag for part in tagger.tag(parts) for tag in part.tags]


def test_a_word_without_a_sub_token_is_outside(tagger):
    (tagged,) = tagger.tag([["Anna", "\u00ad", "Keller"]])
    assert tagged.tags[1] == "O"
    assert np.isnan(tagged.scores).tolist() == [False, True, False]


def test_nothing_to_tag(tagger):
    assert tagger([]) == []
    assert tagger("") == []
    assert tagger(["", " \n", [], "Bern"]) == [[], [], [], tagger("Bern")]


def test_scores(folder, tagger, sentences):
    lowest = Tagger.from_pretrained(str(folder), precision="no", score="min")
    for mean, low in zip(tagger.tag(sentences), lowest.tag(sentences), strict=True):
        for one, other in zip(mean.entities, low.entities, strict=True):
            own = [
                score
                for score, (start, end) in zip(mean.scores, mean.words, strict=True)
                if one.start <= start and end <= one.end
            ]
            assert one.score == pytest.approx(np.mean(own), abs=1e-6)
            assert other.score == pytest.approx(min(own), abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "raw", "tags"),
    [
        (("O", "I-PER", "B-PER", "X"), [1, 1, 2, 3, 0], ["B-PER", "I-PER", "B-PER", "B-X", "O"]),
        (("B-A", "I-A", "E-A", "S-A", "O"), [0, 1, 2, 3, 0, 2], ["B-A", "I-A", "I-A", "B-A", "B-A", "I-A"]),
        (("NOUN", "VERB"), [0, 0, 1], ["B-NOUN", "I-NOUN", "B-VERB"]),
        (("LABEL_0", "LABEL_1"), [0, 1, 1], ["B-LABEL_0", "B-LABEL_1", "I-LABEL_1"]),
    ],
)
def test_labels_of_any_scheme(tagger, labels, raw, tags):
    other = replace(tagger, labels=labels)
    ids, _ = other.converter(np.array(raw), np.arange(len(raw)) == 0)
    assert [other.tags.names[i] for i in ids] == tags


def test_a_tagger_without_o(encoder_folder, tmp_path):
    tagger = Tagger.from_pretrained(str(write_tagger(tmp_path, encoder_folder, ("NOUN", "VERB", "DET"))))
    (tagged,) = tagger.tag(["Anna wohnt in \u200b Bern"])
    assert all(tag[2:] in ("NOUN", "VERB", "DET") for tag, s in zip(tagged.tags, tagged.scores, strict=True) if s == s)


def test_long_text_whole_and_in_pieces(by_word):
    """100,000 words without a full stop, tagged at once, as sentences in between, and word by word: the same."""
    rng = random.Random(0)
    words = [
        rng.choice(synthetic.FIRST + synthetic.SURNAMES + synthetic.TOWNS["de"] + ["und", "in"]) for _ in range(100_000)
    ]
    (whole,) = by_word.tag([words])
    alone = {
        word: tag[2:]
        for word, tagged in zip(set(words), by_word.tag([[w] for w in set(words)]), strict=True)
        for tag in tagged.tags
    }
    assert [tag[2:] for tag in whole.tags] == [alone[word] for word in words]
    starts = [i for i in range(0, len(words), 997) if not whole.tags[i].startswith("I-")]
    pieces = by_word.tag([words[a:b] for a, b in pairwise([*starts, len(words)])])
    assert whole.tags == [tag for piece in pieces for tag in piece.tags]


MEMORY = """
import sys
from ner.tagging.tagger import Tagger
from tests.stress.memory import peak_megabytes
tagger = Tagger.from_pretrained(sys.argv[1])
word = "Anna Keller wohnt in Zürich und arbeitet bei der Bank "
megabytes = []
for num_words in (10_000, 100_000):
    found = tagger(word * (num_words // 10))
    megabytes.append(peak_megabytes())
print(megabytes[1] - megabytes[0])
"""


def test_memory_of_a_long_text(folder):
    _, output = fork(MEMORY, folder)
    assert 0 < float(output.splitlines()[-1]) < 500  # the attention of 100,000 words alone would take gigabytes


def test_a_tagger_is_pickled_alike_before_and_after_it_is_used(folder, sentences):
    """So that `datasets` knows it again; the copy tags as it does."""
    used, texts = Tagger.from_pretrained(str(folder), precision="no"), [" ".join(words) for words in sentences[:9]]
    before = Hasher.hash(used)
    entities = used(texts)
    assert Hasher.hash(used) == before == Hasher.hash(Tagger.from_pretrained(str(folder), precision="no"))
    assert Hasher.hash(replace(used, words="spaces")) != before
    assert pickle.loads(pickle.dumps(used))(texts) == entities


def test_what_is_no_text(tagger, tmp_path):
    with pytest.raises(TypeError, match="3 is neither a text nor a list of words"):
        tagger([3])
    with pytest.raises(TypeError, match="neither a text nor a list of words"):
        tagger([["Bern", 3]])
    with pytest.raises(ValueError, match="surrogates"):
        tagger("\ud83d")
    with pytest.raises(ValueError, match="no such folder"):
        Tagger.from_pretrained(str(tmp_path / "runs" / "none"))
