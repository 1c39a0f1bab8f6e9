"""Sentences to annotate next: chosen of a file that a tagger reads once, and written with its entities."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from ner.data import faults, readers
from ner.data.annotated_text import SPLITTER, tags_of, text_of
from ner.data.annotation_forms import FORMATS, Format, Row, ToAnnotate, characters, word_spans
from ner.data.arrow_store import TAGS, WORDS
from ner.data.faults import Fault, Undecided
from ner.data.words import characters_key
from ner.errors import InputError, listed
from ner.tagging import files
from ner.tagging.document import Tag, TaggedText
from ner.tagging.selection import Candidate, Measure, Pool, uncertainty
from ner.tagging.sentences import sentence_starts

ROW, UNCERTAINTY = "row", "uncertainty"


@dataclass(frozen=True)
class Reading:
    """How candidates are made of tagged texts.

    splitter: how the tagger takes texts apart; measure: of uncertainty; model: its name, for the tools; known: keys of
    sentences that are annotated already.
    """

    splitter: str
    measure: Measure
    model: str
    known: frozenset[int] = frozenset()

    def candidates(self, text: files.Text, tagged: TaggedText) -> Iterator[Candidate]:
        """The sentences of a text that are not known. tagged: with probabilities."""
        is_whole = isinstance(text.content, list) or self.splitter == "spaces"
        splitter = "spaces" if is_whole else self.splitter
        starts = [0] if is_whole else sentence_starts(tagged.text, tagged.words)
        for part, (first, end) in enumerate(pairwise([*starts, len(tagged.words)])):
            words = [tagged.text[slice(*word)] for word in tagged.words[first:end]]
            if not words or characters_key(words) in self.known:
                continue
            score = uncertainty(tagged.probabilities[first:end], self.measure)
            about = {ROW: text.number, UNCERTAINTY: score, SPLITTER: splitter}
            yield Candidate(score, text.number, part, words, self.sentence(tagged, first, end, about))

    def sentence(self, tagged: TaggedText, first: int, end: int, about: Row) -> ToAnnotate:
        """A sentence of a text by itself, whose words are those that the splitter finds in it."""
        start = tagged.words[first][0]
        text = tagged.text[start : tagged.words[end - 1][1]]
        words = [(a - start, b - start) for a, b in tagged.words[first:end]]
        return ToAnnotate(
            text=text,
            words=words,
            predicted=word_spans(tagged.tags[first:end]),
            model=self.model,
            gold=None,
            about=about,
            id=blake2b(text.encode(), digest_size=16).hexdigest(),
        )


def fill(
    pool: Pool, rows: Iterable[files.Text | Fault], tag: Tag, reading: Reading, progress: Callable[[int], object]
) -> int:
    """Tags rows, a part at a time, and offers the pool their sentences. Returns how many rows there are.

    progress: called with the number of rows done since the last call. Raises InputError for a row that cannot be read.
    """
    waiting: deque[files.Text] = deque()

    def contents() -> Iterator[str | list[str]]:
        for row in rows:
            waiting.append(files.sound(row))
            yield waiting[-1].content

    num_rows = 0
    for tagged in tag(contents()):
        for candidate in reading.candidates(waiting.popleft(), tagged):
            pool.add(candidate)
        progress(1)
        num_rows += 1
    return num_rows


def known_sentences(names: Iterable[str]) -> frozenset[int]:
    """Keys of the sentences of files that `--data` reads, those that nobody has accepted among them.

    Raises InputError for a file that cannot be read, and rows that cannot be read.
    """
    return frozenset(key for name in names for key in keys_of_file(Path(name)))


def keys_of_file(file: Path) -> Iterator[int]:
    """`characters_key` of each sentence. Raises as `known_sentences`."""
    if not readers.suffix_of(file):
        endings = listed(readers.SUFFIXES)
        raise InputError(f"`annotated` {file}: no reader for this name; files end in {endings}, each also with .gz")
    try:
        for item in readers.read(file):
            if isinstance(item, Undecided):
                yield characters_key([text_of(item.value)])
            elif isinstance(item, Fault):
                raise InputError(faults.report([], [item], 1, remedy="fix the row"))
            elif isinstance(item, pa.Table):
                yield from map(characters_key, item[WORDS].to_pylist())
            else:
                yield characters_key(item.words)
    except InputError as error:
        message = str(error)
        raise InputError(message if str(file) in message else f"`annotated` {file}: {message}") from error


def to_rows(chosen: Sequence[Candidate], form: Format) -> list[Row]:
    """Rows of a file in that form, with the entities that the tagger found."""
    return [plain(each.content) if form == "jsonl" else FORMATS[form](each.content) for each in chosen]


def plain(sentence: ToAnnotate) -> Row:
    """Words and tags, to edit."""
    tags = tags_of(sentence.text, sentence.words, characters(sentence, sentence.predicted))
    about = {name: sentence.about[name] for name in (ROW, UNCERTAINTY)}
    return {**about, WORDS: [sentence.text[slice(*word)] for word in sentence.words], TAGS: tags}
