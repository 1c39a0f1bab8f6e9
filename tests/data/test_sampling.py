import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from ner.data.sampling import SWISS, hold_out, join_languages, lay_end_to_end, parse_sample, resolve_sample, take_share
from ner.errors import InputError


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
    (few, _), (all_of_them, _) = join_languages({"de": german}, 10), join_languages({"de": german})
    assert few[:] == all_of_them[:10]
    assert all_of_them[:] == german.shuffle(seed=42)[:]
    assert len(join_languages({"de": german}, 10**9)[0]) == len(german)


def rows(first: int, count: int) -> Dataset:
    return Dataset.from_dict({"row": list(range(first, first + count))})


def test_a_number_cuts_the_joined_sentences():
    parts = {"de": rows(0, 100), "fr": rows(100, 50)}
    joined, languages = join_languages(parts, 20)
    assert joined["row"][:] == concatenate_datasets(list(parts.values())).shuffle(seed=42)["row"][:20]
    assert languages.tolist() == [int(row >= 100) for row in joined["row"]]


def test_single_languages_are_cut_and_the_others_whole():
    parts = {"de": rows(0, 100), "fr": rows(100, 50), "it": rows(150, 30)}
    joined, languages = join_languages(parts, {"fr": 10, "it": 30})
    assert np.bincount(languages).tolist() == [100, 10, 30]
    french = {row for row in joined["row"] if 100 <= row < 150}
    alone, _ = join_languages({"fr": parts["fr"]}, 10)
    assert french == set(alone["row"][:])  # whatever it is joined with
    assert alone["row"][:] == join_languages({"fr": parts["fr"]}, {"fr": 10})[0]["row"][:]
    assert french < {row for row in join_languages(parts, {"fr": 20})[0]["row"] if 100 <= row < 150}
    with pytest.raises(InputError, match="`max_train_sentences` fr=51: there are 50 fr training sentences"):
        join_languages(parts, {"fr": 51})


def test_laid_end_to_end_nothing_is_moved():
    parts = {"de": rows(0, 100), "fr": rows(100, 50)}
    for sizes, used in ((None, 150), (20, 20), ({"fr": 10}, 110)):
        whole, order, languages = lay_end_to_end(parts, sizes)
        assert len(whole) == len(order) == used
        stored = whole["row"][:]
        if sizes != {"fr": 10}:  # where the slice of a language has an order of its own
            assert stored == sorted(stored)
        joined, of_them = join_languages(parts, sizes)
        assert [stored[place] for place in order] == joined["row"][:]
        assert languages.tolist() == of_them.tolist() == [int(row >= 100) for row in joined["row"]]
        assert languages.dtype == np.uint8
    assert lay_end_to_end(parts)[0]._indices is None


def test_another_slice_seed_is_another_nested_slice():
    parts = {"de": rows(0, 100), "fr": rows(100, 50)}
    few, more = (set(join_languages(parts, {"fr": n}, 7)[0]["row"][:]) for n in (10, 20))
    assert few < more
    assert few != set(join_languages(parts, {"fr": 10})[0]["row"][:])
    joined = join_languages(parts, 20, 7)[0]["row"][:]
    assert joined == concatenate_datasets(list(parts.values())).shuffle(seed=7)["row"][:20]
    assert join_languages(parts, 20, 42)[0]["row"][:] == join_languages(parts, 20)[0]["row"][:]


def test_held_out_sentences(german):
    train, validation = hold_out(german, 0.1)
    assert (len(train), len(validation)) == (900, 100)
    rows = Dataset.from_dict({"row": list(range(1000))})
    train, validation = (part["row"][:] for part in hold_out(rows, 0.1))
    assert sorted(train + validation) == list(range(1000))
    assert train == sorted(train)
    assert validation == hold_out(rows, 0.1)[1]["row"][:]
    assert len(hold_out(rows, 1e-9)[1]) == 1
