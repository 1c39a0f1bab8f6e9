import numpy as np
import pytest
from datasets import Dataset

from ner.data.sampling import SWISS, hold_out, join_languages, parse_sample, resolve_sample, take_share


def test_sampling_arithmetic_of_the_published_corpus():
    for language, kept in {"de": 12_580, "fr": 4_580, "it": 1_680, "en": 1_180}.items():
        rows = take_share(Dataset.from_dict({"row": list(range(20_000))}), SWISS[language])["row"][:]
        assert len(rows) == kept
        assert rows == np.random.default_rng(0).permutation(20_000)[:kept].tolist()


def test_sample_options():
    assert resolve_sample(["auto"], "PAN-X.{lang}") == ("swiss",)
    assert resolve_sample(["auto"], "{lang}") == resolve_sample(["auto"], "") == ("all",)
    assert resolve_sample(["de=0.5"], "PAN-X.{lang}") == ("de=0.5",)
    assert parse_sample(["swiss"]) == SWISS
    assert parse_sample(["all"]) == {}
    assert parse_sample(["de=0.5", "fr=1"]) == {"de": 0.5, "fr": 1.0}
    for bad in ("de", "de=", "de=0", "de=1.5", "de=nan"):
        with pytest.raises(ValueError, match="`sample`"):
            parse_sample([bad])


def test_max_train_sentences_is_a_prefix_of_the_seeded_order(german):
    few, all_of_them = join_languages([german], 10), join_languages([german])
    assert few[:] == all_of_them[:10]
    assert all_of_them[:] == german.shuffle(seed=42)[:]
    assert len(join_languages([german], 10**9)) == len(german)


def test_held_out_sentences(german):
    train, validation = hold_out(german, 0.1)
    assert (len(train), len(validation)) == (900, 100)
    rows = Dataset.from_dict({"row": list(range(1000))})
    train, validation = (part["row"][:] for part in hold_out(rows, 0.1))
    assert sorted(train + validation) == list(range(1000))
    assert train == sorted(train)
    assert validation == hold_out(rows, 0.1)[1]["row"][:]
    assert len(hold_out(rows, 1e-9)[1]) == 1
