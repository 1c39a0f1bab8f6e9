import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ner.errors import InputError
from ner.inputs.encoding import encode
from ner.inputs.inspection import (
    RawSubToken,
    Stage,
    SubToken,
    added_tokens,
    decoded,
    labelled_windows,
    longest_input,
    raw_sub_tokens,
    special_tokens,
    stages,
    template,
    untagged,
)
from ner.modeling.pretrained import load_tokenizer
from tests.conftest import TAGS

VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "new": 3, "york": 4, "##er": 5, "!": 6}


def word_piece(**components: object) -> PreTrainedTokenizerFast:
    """A tokenizer whose every piece stands in VOCABULARY, with these components alone."""
    backend = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    for name, component in components.items():
        setattr(backend, name, component)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=64
    )


@pytest.fixture
def whole() -> PreTrainedTokenizerFast:
    """One with all four stages."""
    return word_piece(
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        post_processor=processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
    )


@pytest.fixture
def slow(tmp_path):
    """A tokenizer in Python, of characters, which transformers makes without files."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "canine"}), encoding="utf-8")
    settings = json.dumps({"tokenizer_class": "CanineTokenizer"})
    (tmp_path / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    return load_tokenizer(str(tmp_path))


def test_four_stages(whole):
    assert stages("New Yorker!", whole) == [
        Stage("normaliser", "Sequence(NFKC, Lowercase)", ("new yorker!",)),
        Stage("pre-tokenizer", "BertPreTokenizer", ("new", "yorker", "!")),
        Stage("model", "WordPiece", ("new", "york", "##er", "!")),
        Stage("post-processor", "BertProcessing", ("[CLS]", "new", "york", "##er", "!", "[SEP]")),
    ]
    assert template(whole) == ("[CLS]", "$A", "[SEP]")


def test_stages_that_are_not_there():
    bare = word_piece()
    bare.backend_tokenizer.post_processor = None  # transformers gives it one that adds nothing
    assert stages("new york", bare) == [
        Stage("normaliser", None, ("new york",)),
        Stage("pre-tokenizer", None, ("new york",)),
        Stage("model", "WordPiece", ("[UNK]",)),
        Stage("post-processor", None, ("[UNK]",)),
    ]
    assert template(bare) == ("$A",)


def test_a_text_as_it_is_split(whole):
    assert raw_sub_tokens("New Yorker", whole) == [
        RawSubToken("[CLS]", 1, None, None),
        RawSubToken("new", 3, 0, 3),
        RawSubToken("york", 4, 4, 8),
        RawSubToken("##er", 5, 8, 10),
        RawSubToken("[SEP]", 2, None, None),
    ]
    assert decoded("New Yorker", whole) == "new yorker"
    assert decoded("new yorker", whole) == "new yorker"
    assert decoded("new ÿ", whole) == "new"


def test_added_tokens_stay_whole(whole):
    assert added_tokens("a [SEP] and a [CLS]", whole) == ["[CLS]", "[SEP]"]
    assert added_tokens("new", whole) == []
    assert [token.piece for token in raw_sub_tokens("new[SEP]", whole)] == ["[CLS]", "new", "[SEP]", "[SEP]"]
    assert raw_sub_tokens("new[SEP]", whole)[2].start == 3


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_text_is_split_as_transformers_splits_it(tokenizer, text):
    expected = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    tokens = raw_sub_tokens(text, tokenizer)
    assert [token.id for token in tokens] == expected["input_ids"]
    assert [token.start is None for token in tokens] == [bool(special) for special in expected["special_tokens_mask"]]
    spans = zip(tokens, expected["offset_mapping"], strict=True)
    assert all((token.start, token.end) == span for token, span in spans if token.start is not None)
    *_, model, last = stages(text, tokenizer)
    assert last.result == tuple(token.piece for token in tokens) == ("<s>", *model.result, "</s>")


def test_facts(whole):
    assert special_tokens(whole) == [("unk_token", "[UNK]", 0), ("sep_token", "[SEP]", 2), ("cls_token", "[CLS]", 1)]
    assert longest_input(whole) == 64
    whole.add_special_tokens({"extra_special_tokens": ["[E1]"]})
    assert special_tokens(whole)[-1] == ("extra", "[E1]", 7)
    whole.model_max_length = int(1e30)
    assert longest_input(whole) is None


def test_a_slow_tokenizer(slow):
    assert [token[:2] for token in raw_sub_tokens("Bé", slow)] == [
        ("\ue000", 0xE000),
        ("B", 66),
        ("é", 233),
        ("\ue001", 0xE001),
    ]
    assert {token.start for token in raw_sub_tokens("Bé", slow)} == {None}
    assert decoded("Bé", slow) == "Bé"
    with pytest.raises(InputError, match="has no fast tokenizer"):
        stages("Bé", slow)


@pytest.mark.parametrize(("label_tokens", "label"), [("first", -100), ("all", 2)])
def test_labels_of_training(whole, label_tokens, label):
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(TAGS.names)))})
    sentence = Dataset.from_dict({"tokens": [["New", "Yorker", "!"]], "ner_tags": [[1, 2, 0]]}, features)
    (window,) = labelled_windows(sentence, whole, TAGS, label_tokens=label_tokens)
    assert window == [
        SubToken("[CLS]", 1, None, -100),
        SubToken("new", 3, 0, 1),
        SubToken("york", 4, 1, 2),
        SubToken("##er", 5, 1, label),
        SubToken("!", 6, 2, 0),
        SubToken("[SEP]", 2, None, -100),
    ]


def test_windows_of_training(german, tokenizer):
    lengths = np.array([len(words) for words in german["tokens"][:]])
    sentence = german.select([int(lengths.argmax())])
    windows = labelled_windows(sentence, tokenizer, TAGS, max_length=12)
    encoded = encode(sentence, tokenizer, TAGS, max_length=12)
    assert len(windows) == len(encoded) > 1
    for number, window in enumerate(windows):
        expected = encoded[number]
        assert [token.id for token in window] == expected["input_ids"].tolist()
        assert [token.label for token in window] == expected["labels"].tolist()
    scored = [token.word for window in windows for token in window if token.label != -100]
    assert scored == list(range(lengths.max()))
    assert sum(token.word == 0 for window in windows for token in window) >= 1


def test_what_is_no_text():
    with pytest.raises(InputError, match=r"`text` '  ' has no words"):
        untagged("  ")
    for function in (raw_sub_tokens, stages):
        with pytest.raises(InputError, match=r"`text` 'a\\udcff' is not Unicode"):
            function("a\udcff", word_piece())
    with pytest.raises(InputError, match=r"not Unicode"):
        untagged("a\udcff")
