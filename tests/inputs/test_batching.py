import numpy as np
import pytest

from ner.inputs.batching import EpochPlan, balance, group_by_length, pack


def plan(encoded, **changes):
    options = {"batch_size": 48, "row_length": 32, "max_tokens": 256, "seed": 7}
    return EpochPlan(encoded, **(options | changes))


@pytest.mark.parametrize("row_length", [16, 32, None])
@pytest.mark.parametrize("num_processes", [1, 3])
def test_every_window_is_computed_once_in_the_epoch(encoded, row_length, num_processes):
    epoch = plan(encoded, row_length=row_length, num_processes=num_processes)
    assert len(epoch) == -(-encoded.num_sentences // 48)
    seen: list[int] = []
    for step in epoch:
        assert len(step.micro_batches) == num_processes
        assert len({len(mine) for mine in step.micro_batches}) == 1  # as many on each process
        for micro_batch in (m for mine in step.micro_batches for m in mine):
            assert micro_batch.num_positions <= 256
            for row in micro_batch.rows:
                assert encoded.lengths(row).sum() <= micro_batch.row_length
                assert len(row) == 1 or row_length
            if not micro_batch.filler:
                seen += micro_batch.windows
        own = [w for mine in step.micro_batches for m in mine if not m.filler for w in m.windows]
        assert set(encoded.sentence[own]) == set(step.sentences)
        assert step.num_labels == encoded.num_labels(own)
        assert step.num_tokens == encoded.lengths(own).sum()
    assert sorted(seen) == list(range(len(encoded)))


def test_the_order_is_a_function_of_seed_and_epoch(encoded):
    first, again = plan(encoded), plan(encoded)
    assert [u.micro_batches for u in first] == [u.micro_batches for u in again]
    assert sorted(first.order) == sorted(plan(encoded, epoch=1).order)
    assert (first.order != plan(encoded, epoch=1).order).any()
    assert (first.order != plan(encoded, seed=8).order).any()
    assert plan(encoded, seed=None).order.tolist() == list(range(encoded.num_sentences))


def test_epochs_are_drawn_from_the_order_that_is_given(encoded):
    """Sentences in another order train in the steps in which they would if they stood in that order."""
    order = np.random.default_rng(3).permutation(encoded.num_sentences)[:100]
    epoch = plan(encoded, sentences=order)
    assert (epoch.num_sentences, len(epoch)) == (100, 3)
    places = np.random.default_rng([7, 0]).permutation(100)
    assert epoch.order.tolist() == order[places].tolist()
    assert epoch[1].sentences.tolist() == order[places[48:96]].tolist()
    languages = np.repeat([0, 1], [90, 10])
    drawn = plan(encoded, sentences=order, languages=languages, temperature=2.0)
    positions = plan(encoded, sentences=np.arange(100), languages=languages, temperature=2.0)
    assert drawn.order.tolist() == order[positions.order].tolist()


def languages_of(encoded, *sizes) -> np.ndarray:
    """That many sentences of each of several languages, the rest of one more, mixed."""
    numbers = np.repeat(np.arange(len(sizes) + 1), [*sizes, encoded.num_sentences - sum(sizes)])
    return np.random.default_rng(0).permutation(numbers)


def test_a_temperature_of_1_and_a_single_language_change_no_order(encoded):
    languages = languages_of(encoded, 100, 20)
    for same in (
        plan(encoded, languages=languages),
        plan(encoded, languages=languages * 0, temperature=5.0),
        plan(encoded, languages=languages, temperature=5.0, seed=None),
    ):
        assert same.order.tolist() == plan(encoded, seed=same.seed).order.tolist()


def test_languages_are_drawn_by_their_size_to_the_power_of_1_over_t(encoded):
    languages = languages_of(encoded, 100, 20)
    epoch = plan(encoded, languages=languages, temperature=3.0)
    assert len(epoch.order) == encoded.num_sentences == 1000
    weights = np.array([100, 20, 880]) ** (1 / 3)
    drawn = np.bincount(languages[epoch.order])
    assert drawn.tolist() == epoch.drawn_of_languages.tolist()
    assert np.abs(drawn - 1000 * weights / weights.sum()).max() < 1
    times = np.bincount(epoch.order, minlength=1000)
    for number, size in enumerate((100, 20, 880)):
        assert set(times[languages == number]) <= {drawn[number] // size, drawn[number] // size + 1}
    assert plan(encoded, languages=languages, temperature=3.0).order.tolist() == epoch.order.tolist()
    for other in ({"epoch": 1}, {"seed": 8}):
        another = plan(encoded, languages=languages, temperature=3.0, **other).order
        assert sorted(another) != sorted(epoch.order)
    step = epoch[0]
    windows = sorted(w for mine in step.micro_batches for m in mine for w in m.windows)
    assert windows == sorted(w for own in encoded.windows_of(step.sentences) for w in own)


def test_what_an_epoch_leaves_out_the_next_ones_take(encoded):
    """After some epochs each sentence of a language was drawn equally often, give or take one."""
    languages = languages_of(encoded, 100)
    times = np.zeros(1000, dtype=int)
    for number in range(4):
        times += np.bincount(plan(encoded, languages=languages, temperature=2.0, epoch=number).order, minlength=1000)
        for language in (0, 1):
            assert np.ptp(times[languages == language]) <= 1


def test_an_step_holds_the_same_sentences_at_any_split(encoded):
    for number in (0, 5, len(plan(encoded)) - 1):
        one = plan(encoded)[number]
        for other in (plan(encoded, num_processes=2), plan(encoded, row_length=None), plan(encoded, max_tokens=32)):
            assert other[number].sentences.tolist() == one.sentences.tolist()
            assert other[number].num_labels == one.num_labels


def test_the_last_step_is_the_rest(encoded):
    epoch = plan(encoded)
    assert len(epoch[len(epoch) - 1].sentences) == encoded.num_sentences % 48
    with pytest.raises(IndexError):
        epoch[len(epoch)]


def test_processes_get_nearly_equal_tokens(encoded):
    for step in plan(encoded, num_processes=4):
        tokens = [sum(encoded.lengths(m.windows).sum() for m in mine if not m.filler) for mine in step.micro_batches]
        assert max(tokens) - min(tokens) <= encoded.longest


def test_more_processes_than_sentences(encoded):
    step = plan(encoded, batch_size=2, num_processes=4)[0]
    fillers = [all(m.filler for m in mine) for mine in step.micro_batches]
    assert fillers == [False, False, True, True]


def test_packing_is_dense(encoded):
    epoch = plan(encoded, row_length=64, max_tokens=8192, batch_size=64)
    steps = list(epoch)[:-1]
    efficiency = sum(u.num_tokens for u in steps) / sum(u.num_positions for u in steps)
    assert efficiency > 0.95


def test_pack_fills_rows_and_lengthens_them_for_long_items():
    rows = pack([5, 30, 3, 8, 8], 16)
    assert rows == [([1], 32), ([3, 4], 16), ([0, 2], 16)]
    assert pack([20, 10, 2], 16) == [([0, 1, 2], 32)]
    assert pack([], 16) == []


def test_groups_hold_similar_lengths():
    lengths = dict(enumerate([3, 40, 21, 20, 19, 2]))
    assert group_by_length(range(6), lengths, max_tokens=1000) == [[1, 2, 3], [4], [0, 5]]
    assert group_by_length(range(6), lengths, max_tokens=80) == [[1, 2], [3, 4], [0, 5]]


def test_balance():
    assert balance([5, 1, 4, 2], 1) == [[0, 1, 2, 3]]
    assert balance([5, 1, 4, 2], 2) == [[0, 1], [2, 3]]


def test_a_window_that_does_not_fit_is_refused(encoded):
    with pytest.raises(ValueError, match="`max_tokens_per_micro_batch` 15"):
        plan(encoded, row_length=None, max_tokens=15)
    with pytest.raises(ValueError, match="needs 32 positions"):
        plan(encoded, row_length=32, max_tokens=31)
