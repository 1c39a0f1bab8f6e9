"""Teachers: what trained taggers say of unlabelled sentences, as soft targets for a student.

Hinton et al. 2015, https://arxiv.org/abs/1503.02531; for named entities without labels in the target language, Wu et
al. 2020, https://aclanthology.org/2020.acl-main.581.
"""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from numpy.lib.format import open_memmap
from torch import Tensor

from ner.config import TrainConfig
from ner.data.arrow_store import TAGS, batches, content_hash
from ner.data.cache import cached, is_cached
from ner.data.corpus import Corpus
from ner.errors import InputError, listed
from ner.evaluation.inference import tag_probabilities
from ner.inputs.encoding import encode
from ner.inputs.soft_targets import Unlabelled
from ner.runtime import main_process_first, say
from ner.tagging.noisy_student import add_copies
from ner.tagging.tagger import Tagger
from ner.tagging.unlabelled import read_unlabelled
from ner.tags import TagSet
from ner.training.setup import annotated
from ner.utils import progress_bar, rows_of

SENTENCES_PER_CHUNK = 8192  # bounds memory
LONGEST = 512  # sub-tokens of a window, if the teacher was trained on longer ones
TARGETS = "probabilities.npy"


def teach(config: TrainConfig, accelerator: Accelerator, corpus: Corpus) -> Unlabelled | None:
    """The unlabelled sentences of `--unlabelled` and their soft targets; None where there are none.

    Says what was left out of them, and which copies were made. Raises InputError as `read_unlabelled` and
    `soft_targets` do.
    """
    if not config.unlabelled:
        return None
    with main_process_first(accelerator):
        pool = read_unlabelled(config.unlabelled, corpus, annotated(config, corpus)[0])
    say(accelerator, f"unlabelled: {pool}")
    max_tokens = config.max_tokens_per_micro_batch
    targets = soft_targets(config.teacher, pool.sentences, corpus.tags, accelerator, max_tokens=max_tokens)
    unlabelled = Unlabelled(pool.sentences, rows_of(np.array([len(part) for part in pool.parts])), targets)
    if not config.augment_unlabelled:
        return unlabelled
    with main_process_first(accelerator):
        unlabelled, note = add_copies(unlabelled, config.augment_unlabelled, config.seed)
    say(accelerator, f"unlabelled: {note}")
    return unlabelled


def soft_targets(
    names: Sequence[str], sentences: Dataset, tags: TagSet, accelerator: Accelerator, *, max_tokens: int
) -> np.ndarray:
    """The mean over teachers of the tag probabilities of every word, from the cache if it has them.

    All processes share the work. What decides is the content of sentences and teachers, not their names.

    Args:
        names: Run folders, model folders or Hub names, of token classifiers that have these tags, in any order.
        sentences: Sentences, as those of a corpus.
        tags: Tags in the order of the columns.
        accelerator: The processes that share the work.
        max_tokens: Positions computed at once, which bounds memory.

    Returns:
        float16 [words, tags], mapped from disk: 0 for a word without a sub-token.

    Raises:
        InputError: For a name without a model, and for a teacher with other tags.
    """
    teachers = [load_teacher(name, tags, accelerator, max_tokens) for name in names]
    content = (content_hash(sentences), tags.names, [teacher.fingerprint() for teacher in teachers])
    key = ("soft targets", *content)
    holds = {"kind": "soft targets", "content": f"of {' '.join(names)}, {len(sentences):,} sentences"}
    chunks = probabilities(teachers, sentences, tags, accelerator)

    def write(folder: Path) -> None:
        num_words = sum(len(rows[TAGS].combine_chunks().flatten()) for rows in batches(sentences))
        table = open_memmap(folder / TARGETS, mode="w+", dtype=np.float16, shape=(num_words, len(tags.names)))
        end = 0
        for chunk in chunks:
            start, end = end, end + len(chunk)
            table[start:end] = chunk
        table.flush()
        assert end == num_words

    if any(gather_object([not is_cached(key)])):
        if accelerator.is_local_main_process:  # one on each machine: they need not share the cache
            cached(key, write, **holds)
        collections.deque(chunks, maxlen=0)  # what a process does not write, it computes with the others
    with main_process_first(accelerator):
        folder = cached(key, write, **holds)
    table: np.ndarray = np.load(folder / TARGETS, mmap_mode="r")
    return table


def load_teacher(name: str, tags: TagSet, accelerator: Accelerator, max_tokens: int) -> Tagger:
    """The tagger of this name on this process's device. Raises InputError if it has other tags."""
    teacher = Tagger.from_pretrained(
        name,
        device=accelerator.device,
        precision=accelerator.mixed_precision,
        max_length=LONGEST,
        max_tokens=max_tokens,
    )
    if set(teacher.labels) != set(tags.names):
        others = listed(sorted(set(teacher.labels) ^ set(tags.names)))
        raise InputError(
            f"`teacher` {name} has the tags {listed(teacher.labels)}, the data {listed(tags.names)}: {others} differ; "
            "`map_tags` reads types of the data as others"
        )
    return teacher


@torch.no_grad()
def probabilities(
    teachers: Sequence[Tagger], sentences: Dataset, tags: TagSet, accelerator: Accelerator
) -> Iterator[np.ndarray]:
    """float32 [words of a chunk, tags], chunk by chunk, the same on all processes: the mean of the teachers'."""
    with progress_bar(accelerator, "teacher", " sentences", total=len(sentences)) as bar:
        for start in range(0, len(sentences), SENTENCES_PER_CHUNK):
            chunk = sentences.select(range(start, min(start + SENTENCES_PER_CHUNK, len(sentences))))
            total = sum(of_teacher(teacher, chunk, tags, accelerator) for teacher in teachers)
            assert isinstance(total, Tensor)
            yield (accelerator.reduce(total) / len(teachers)).cpu().numpy()
            bar.update(len(chunk))


def of_teacher(teacher: Tagger, sentences: Dataset, tags: TagSet, accelerator: Accelerator) -> Tensor:
    """float32 [words, tags]: of this process's share, 0 elsewhere. Columns in the order of `tags`."""
    encoded = encode(sentences, teacher.tokenizer, tags, max_length=teacher.max_length)
    with accelerator.autocast():
        p = tag_probabilities(
            teacher.model,
            encoded,
            teacher.collator,
            accelerator,
            num_tags=len(tags.names),
            max_tokens=teacher.max_tokens,
        )
    return p[:, [teacher.labels.index(name) for name in tags.names]]
