"""Sentences without tags, for a teacher: of text files, or what `sample` leaves of a corpus, but none to test on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from datasets import Dataset, concatenate_datasets

from ner.data import faults
from ner.data.arrow_store import WORDS, Row, batches, content_hash, store
from ner.data.conversion import convert
from ner.data.corpus import Corpus, Source, load_corpus
from ner.data.discovery import LANGUAGE, find
from ner.data.faults import Fault
from ner.data.parts import state_of
from ner.data.sampling import leave_share, parse_sample
from ner.data.tag_schemes import ParsedLabels
from ner.data.words import characters_key, split_edges
from ner.errors import InputError, shorten
from ner.tagging import files
from ner.tagging.sentences import sentence_starts
from ner.tags import OUTSIDE

HELD_OUT = ("validation", "test")


@dataclass(frozen=True)
class Pool:
    """Unlabelled sentences, as those of a corpus with every tag O, a part for each name.

    languages: of the parts, "" where none is known; left_out: number of sentences by the reason why.
    """

    parts: list[Dataset]
    languages: list[str]
    left_out: Counter[str]

    @property
    def sentences(self) -> Dataset:
        """All parts, one after the other."""
        return concatenate_datasets(self.parts)

    def __str__(self) -> str:
        sizes = [f"{name or 'text'} {len(part):,}" for name, part in zip(self.languages, self.parts, strict=True)]
        left_out = [f"left out: {count:,} {reason}" for reason, count in sorted(self.left_out.items())]
        return "; ".join([f"{len(self.sentences):,} sentences: {', '.join(sizes)}", *left_out])


def read_unlabelled(names: Sequence[str], corpus: Corpus, trained_on: Dataset) -> Pool:
    """The sentences of these names that are neither trained on nor to be tested on.

    A sentence is left out where its words, however they are taken apart, are those of a sentence that is trained on, or
    in the validation or test split of a language that the corpus or a name has; and where its name had it before.

    Args:
        names: Files that `ner tag` reads, of text or words: `fr=news.jsonl`, or `fr.txt`, whose language is fr if the
            corpus's source has it; or languages of that source: training sentences outside `sample`, tags unused.
        corpus: Whose source the languages are of, and whose tags the sentences get.
        trained_on: The labelled sentences.

    Returns:
        A part for each name, in order.

    Raises:
        InputError: For a name that is neither, for rows that cannot be read, and where no sentence is left.
    """
    source = replace(corpus.source, sample=("all",), corrections=None, fold=None)  # which sentences `sample` leaves
    places = [place_of(name, source) for name in names]
    languages = dict.fromkeys([*corpus.languages, *(language for language, _ in places if language)])
    whole = load_corpus(source, list(languages), None)
    held_out = {(name, split): whole[name][split] for name in languages for split in HELD_OUT if split in whole[name]}
    known = dict.fromkeys(keys_of(trained_on), "trained on")
    for (language, split), part in held_out.items():
        known |= dict.fromkeys(keys_of(part), f"in {split} of {language}")
    content = [content_hash(part) for part in (trained_on, *held_out.values())]
    shares = parse_sample(corpus.source.sample)

    parts = []
    left_out: Counter[str] = Counter()
    for name, (language, file) in zip(names, places, strict=True):
        if file:
            files.count(file)  # raises for rows that cannot be read
            key, read = state_of(file), partial(rows_of_file, file)
        else:
            if "train" not in whole[language]:
                raise InputError(f"`unlabelled` {name}: {source.data} has no training sentences of {language}")
            rest = leave_share(whole[language]["train"], shares.get(language, 1.0))
            key, read = (content_hash(rest),), partial(rows_of, rest)
        stored = store(("unlabelled", key, content), name, partial(news, read, known, name))
        left_out += Counter(fault.reason for fault in faults.read(stored.faults))
        parts.append(convert(stored, None, ParsedLabels.of([OUTSIDE]), {}, corpus.tags).data)
        if not len(parts[-1]):
            remedy = "" if file else f"; `sample` leaves {len(rest):,} training sentences of {language}: name a file"
            raise InputError(f"`unlabelled` {name}: it has no sentence that is not trained or tested on{remedy}")
    return Pool(parts, [language for language, _ in places], left_out)


def place_of(name: str, source: Source) -> tuple[str, Path | None]:
    """(language, file) of a name; language "" where the source does not have it. Raises InputError for neither."""
    language, equals, path = name.partition("=")
    if equals and LANGUAGE.fullmatch(language) and not Path(name).exists():
        if not has_language(source, language):
            raise InputError(f"`unlabelled` {name}: {source.data} has no language {language}")
        return language, Path(path)
    stem = Path(name).name.partition(".")[0]
    if name != stem:
        return stem if LANGUAGE.fullmatch(stem) and has_language(source, stem) else "", Path(name)
    if not has_language(source, name):
        raise InputError(f"`unlabelled` {shorten(name)}: neither a file nor a language of {source.data}")
    return name, None


def has_language(source: Source, language: str) -> bool:
    """Whether the source can be asked for this language."""
    return language in find(source.data, [language], ("train",), source.data_config).places


def rows_of_file(file: Path) -> Iterator[Row]:
    """The sentences of a file of texts or words."""
    for item in files.read(file):
        text = files.sound(item)
        sentences = [text.content] if isinstance(text.content, list) else split_sentences(text.content)
        for words in sentences:
            yield Row(text.number, words, [OUTSIDE] * len(words))


def split_sentences(text: str) -> Iterator[list[str]]:
    """The words of each sentence of a text, as the tagger takes them apart."""
    offsets = split_edges(text)
    for first, end in pairwise([*sentence_starts(text, offsets), len(offsets)]):
        yield [text[slice(*word)] for word in offsets[first:end]]


def rows_of(dataset: Dataset) -> Iterator[Row]:
    """The sentences of a dataset, without their tags."""
    words = (words for rows in batches(dataset) for words in rows[WORDS].to_pylist())
    for number, sentence in enumerate(words):
        yield Row(number, sentence, [OUTSIDE] * len(sentence))


def news(read: "partial[Iterator[Row]]", known: dict[int, str], name: str) -> Iterator[Row | Fault]:
    """The rows whose words are not known, each once; the others as faults."""
    seen = set()
    for row in read():
        key = characters_key(row.words)
        if reason := known.get(key) or ("repeated" if key in seen else None):
            yield Fault(name, reason, row.number, row.words)
        elif row.words:
            seen.add(key)
            yield row


def keys_of(dataset: Dataset) -> Iterable[int]:
    """`characters_key` of each sentence."""
    return (characters_key(words) for rows in batches(dataset) for words in rows[WORDS].to_pylist())
