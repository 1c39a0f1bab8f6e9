"""Probes a run: its scores on sentences as they are and as each probe changes them, paired, and what flips."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from datasets import Dataset

from ner.analysis.entity_errors import BOTH_WRONG, CORRECT, KINDS, MISSED, WRONG_BOUNDARY, WRONG_TYPE, Matches, match
from ner.analysis.probing.changed_sets import ChangedSet, sums
from ner.analysis.probing.flips import Flips, flips
from ner.analysis.probing.name_lists import NamedSentences, NameList
from ner.analysis.probing.names import Known, slices
from ner.analysis.probing.probes import Material, Probe
from ner.data.arrow_store import WORDS, flat_column
from ner.evaluation.bootstrap import Interval, f1_interval, f1_of, interval, resampled
from ner.evaluation.comparison import LabelPair
from ner.evaluation.metrics import sentence_counts
from ner.evaluation.tested import Predictor, Progress
from ner.tags import entities, first_words, is_among

Sets = dict[str, ChangedSet]  # by the name of the probe


@dataclass(frozen=True)
class Outcome:
    """What a probe found of a run in a language.

    measure: what before, after and difference (after - before) are: micro F1 of all sentences, or the recall of all
    gold mentions (before) and of those of a slice (after); interval: 95%, of the difference, by bootstrap over the same
    sentences; sentences, changed: how many there are, and how many of them the probe changes (for a slice: have such a
    mention); gold: entities that `after` is over; flips: None where nothing is changed.
    """

    run: str
    language: str
    probe: str
    family: str
    measure: Literal["F1", "recall"]
    sentences: int
    changed: int
    gold: int
    before: float
    after: float
    difference: float
    interval: Interval
    flips: Flips | None = None


@dataclass(frozen=True)
class Failure:
    """A name that was not found as it is. text: the sentence; kind: of KINDS; found: the type that was predicted."""

    name: str
    text: str
    kind: str
    found: str


@dataclass(frozen=True)
class NameOutcome:
    """What became of a list of names. place: `alone`, or the language of the carriers.

    recall: share of the sentences whose name was found with its boundaries and type; interval: 95%, by bootstrap over
    names; wrong_type: how often each other type was predicted, with whatever boundaries.
    """

    run: str
    type: str
    file: str
    place: str
    names: int
    sentences: int
    recall: float
    interval: Interval
    wrong_type: dict[str, int]
    wrong_boundary: int
    missed: int
    failures: tuple[Failure, ...]


def make_sets(
    tested: Mapping[str, Dataset], material: Mapping[str, Material], probes: Sequence[Probe], seed: int
) -> dict[str, Sets]:
    """What each probe makes of the sentences of each language."""
    return {
        language: {
            probe.name: probe.apply(rows, material[language], f"{seed} {language}") for probe in probes if probe.change
        }
        for language, rows in tested.items()
    }


def probe_language(
    run: str,
    language: str,
    predictor: Predictor,
    rows: Dataset,
    sets: Sets,
    probes: Sequence[Probe],
    known: Known | None,
    progress: Progress,
) -> list[Outcome]:
    """The outcome of each probe. All processes must call it.

    rows: the sentences as they are; sets: what the probes make of them; known: mentions that the run was trained on,
    None where that is not known, and slices are left out then, as are slices without a mention.
    """
    before = tested(predictor, rows, progress)
    counts = counts_of(before)
    words = flat_column(rows, WORDS)[0].tolist()
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # probe -> counts of sentences before and after
    flipped: dict[str, Flips] = {}
    num_changed: dict[str, int] = {}
    for name, changed in sets.items():
        check_pairing(changed, rows)
        num_changed[name] = int(changed.is_changed.sum())
        grouped = sums(counts, changed.group, changed.num_groups)
        found[name] = grouped, grouped
        if len(changed.rows):
            after = tested(predictor, changed.rows, progress)
            new = sums(counts_of(after), changed.group_of_row, changed.num_groups)
            is_new = np.isin(np.arange(changed.num_groups), changed.group_of_row)
            found[name] = grouped, np.where(is_new[:, None], new, grouped)
            flipped[name] = flips(changed, before, after, words, flat_column(changed.rows, WORDS)[0].tolist())
    for name, of_slice in slice_counts(before, words, known).items():
        num_changed[name] = int((of_slice[1][:, 2] > 0).sum())
        if num_changed[name]:
            found[name] = of_slice
    asked = [probe for probe in probes if probe.name in found]
    limits = difference_intervals([found[probe.name] for probe in asked])

    def outcome(probe: Probe, certain: Interval) -> Outcome:
        scores = [float(f1_of(part.sum(axis=0))) for part in found[probe.name]]
        return Outcome(
            run=run,
            language=language,
            probe=probe.name,
            family=probe.family,
            measure="F1" if probe.change else "recall",
            sentences=len(rows),
            changed=num_changed[probe.name],
            gold=int(found[probe.name][1][:, 2].sum()),
            before=scores[0],
            after=scores[1],
            difference=scores[1] - scores[0],
            interval=certain,
            flips=flipped.get(probe.name),
        )

    return [outcome(probe, certain) for probe, certain in zip(asked, limits, strict=True)]


def tested(predictor: Predictor, rows: Dataset, progress: Progress) -> LabelPair:
    """Gold and predicted tags."""
    found = predictor.test(rows, progress)
    return LabelPair(found.gold, found.predictions.tags, found.word_offsets, predictor.tags)


def counts_of(pair: LabelPair) -> np.ndarray:
    """int64 [sentences, 3]: correct, predicted and gold entities, by conlleval's rules."""
    return sentence_counts(pair.gold, pair.predicted, pair.word_offsets, pair.tags, "default").sum(axis=1)


def check_pairing(changed: ChangedSet, rows: Dataset) -> None:
    """Every sentence is in one group, groups follow each other, and words come from sentences of their own group."""
    assert len(changed.group) == len(rows)
    steps = np.diff(changed.group)
    assert not len(steps) or (changed.group[0] == 0 and ((steps == 0) | (steps == 1)).all())
    sizes = flat_column(rows, WORDS)[1]
    group_of_word = np.repeat(changed.group, sizes)
    group_of_new = np.repeat(changed.group_of_row, np.diff(changed.row_offsets))
    is_old = changed.origins >= 0
    assert (changed.origins < len(group_of_word)).all()
    assert (group_of_word[changed.origins[is_old]] == group_of_new[is_old]).all()


def slice_counts(
    pair: LabelPair, words: Sequence[str], known: Known | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Slice -> counts of all gold mentions of each sentence, and of those in the slice, int64 [sentences, 3] each.

    Gold mentions stand for the predicted ones, so that F1 of these counts is recall.
    """
    if known is None:
        return {}
    start = first_words(pair.word_offsets)
    gold, predicted = (entities(ids, start, pair.tags) for ids in (pair.gold, pair.predicted))
    is_found = is_among(gold, predicted, len(pair.gold))
    sentence = np.searchsorted(pair.word_offsets, gold[0], side="right") - 1
    single = np.stack([is_found, np.ones_like(is_found), np.ones_like(is_found)], axis=1).astype(np.int64)

    def counted(mask: np.ndarray) -> np.ndarray:
        return sums(single[mask], sentence[mask], len(pair.word_offsets) - 1)

    whole = counted(np.ones(len(sentence), dtype=bool))
    return {name: (whole, counted(mask)) for name, mask in slices(words, gold, pair.tags.types, known).items()}


def difference_intervals(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Interval]:
    """The interval of F1 after minus F1 before of each pair, int64 [groups, 3] both.

    Pairs of as many groups are resampled at once: what is drawn is the same for all of them.
    """
    samples: dict[int, np.ndarray] = {}
    for size in {len(first) for first, _ in pairs}:
        members = [i for i, (first, _) in enumerate(pairs) if len(first) == size]
        drawn = resampled(np.stack([side for i in members for side in pairs[i]], axis=1))
        samples |= {i: drawn[:, 2 * place + 1] - drawn[:, 2 * place] for place, i in enumerate(members)}
    return [interval(samples[i]) for i in range(len(pairs))]


def probe_names(
    run: str, place: str, predictor: Predictor, names: NameList, made: NamedSentences, progress: Progress
) -> NameOutcome:
    """What the run finds of a list of names in these sentences, of which there is at least one."""
    pair = tested(predictor, made.rows, progress)
    matches = match(pair.gold, pair.predicted, first_words(pair.word_offsets), pair.tags)
    number = np.full(len(pair.gold), -1)
    is_gold = matches.gold_start >= 0
    number[matches.gold_start[is_gold]] = np.flatnonzero(is_gold)
    of_name = number[pair.word_offsets[:-1] + made.start]  # the match of each sentence's name
    kinds, types = matches.kind[of_name], (*pair.tags.types, "")
    is_other = np.isin(kinds, (WRONG_TYPE, BOTH_WRONG))
    other = np.bincount(matches.predicted_type[of_name][is_other], minlength=len(types)).tolist()
    single = np.stack([kinds == CORRECT, kinds >= 0, kinds >= 0], axis=1).astype(np.int64)
    by_name = sums(single, made.name, len(names.names))
    return NameOutcome(
        run=run,
        type=names.type,
        file=names.file,
        place=place,
        names=len(names.names),
        sentences=len(kinds),
        recall=float(f1_of(by_name.sum(axis=0))),
        interval=f1_interval(by_name),
        wrong_type={type_: count for type_, count in zip(types, other, strict=True) if count},
        wrong_boundary=int((kinds == WRONG_BOUNDARY).sum()),
        missed=int((kinds == MISSED).sum()),
        failures=tuple(failures(names, made, kinds, matches, of_name, types)),
    )


def failures(
    names: NameList,
    made: NamedSentences,
    kinds: np.ndarray,
    matches: Matches,
    of_name: np.ndarray,
    types: Sequence[str],
) -> Iterator[Failure]:
    """The sentences whose name was not found as it is."""
    for row in np.flatnonzero(kinds != CORRECT).tolist():
        yield Failure(
            name=" ".join(names.names[made.name[row]]),
            text=" ".join(made.rows[row][WORDS]),
            kind=KINDS[kinds[row]],
            found=types[matches.predicted_type[of_name[row]]],
        )


def dropped(outcomes: Sequence[Outcome], at_most: float) -> list[Outcome]:
    """Those of changed sentences that lose more F1 than this."""
    return [outcome for outcome in outcomes if outcome.measure == "F1" and outcome.difference < -at_most]
