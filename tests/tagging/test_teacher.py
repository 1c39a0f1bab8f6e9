"""Soft targets of teachers, and training on them."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from ner.errors import InputError
from ner.tagging import teacher
from ner.tagging.tagger import Tagger
from ner.tagging.teacher import soft_targets
from tests.conftest import TAGS, part_of
from tests.processes import fork_ranks
from tests.runs import train_run
from tests.taggers import LABELS, write_tagger

pytestmark = pytest.mark.usefixtures("fresh_accelerator")


@pytest.fixture(scope="module")
def teachers(narrow_encoder, tmp_path_factory):
    """Two taggers, of which one has its tags in another order."""
    folder = tmp_path_factory.mktemp("teachers")
    return [
        str(write_tagger(folder / "plain", narrow_encoder)),
        str(write_tagger(folder / "turned", narrow_encoder, LABELS[::-1], num_layers=1)),
    ]


def targets(names, sentences):
    return soft_targets(names, sentences, TAGS, Accelerator(mixed_precision="no"), max_tokens=2048)


def test_targets_are_the_mean_of_the_teachers_by_tag(teachers, german, monkeypatch):
    sentences = german.select(range(30))
    monkeypatch.setattr(teacher, "SENTENCES_PER_CHUNK", 7)
    both = targets(teachers, sentences)
    assert (both.dtype, both.shape) == (np.float16, (sum(map(len, sentences["tokens"])), len(TAGS.names)))
    single = [targets([name], sentences).astype(np.float32) for name in teachers]
    np.testing.assert_allclose(both, np.mean(single, axis=0), atol=1e-3)
    for name, table in zip(teachers, single, strict=True):
        tagged = Tagger.from_pretrained(name, precision="no").tag(sentences["tokens"])
        words = [(tag, score) for text in tagged for tag, score in zip(text.tags, text.scores, strict=True)]
        types = [TAGS.names[i][2:] for i in table.argmax(-1)]
        assert types == [tag[2:] for tag, _ in words]  # B- and I- are set right there
        np.testing.assert_allclose(table.max(-1), [score for _, score in words], atol=1e-3)


def test_targets_come_from_the_cache_until_a_teacher_changes(teachers, german, tmp_path, monkeypatch):
    sentences = german.select(range(10))
    name = shutil.copytree(teachers[0], tmp_path / "copy")
    first = targets([str(name)], sentences)

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(teacher, "of_teacher", never)
    assert (targets([teachers[0]], sentences) == first).all()
    write_tagger(name, teachers[0], num_layers=1)
    with pytest.raises(AssertionError):
        targets([str(name)], sentences)


RANK = """
import os, sys
from pathlib import Path
import datasets
import numpy as np
cache, corpus_folder, disks, *teachers = sys.argv[1:]
if disks == "own":  # two machines, each with a process
    os.environ["LOCAL_RANK"] = "0"
    cache += os.environ["RANK"]
from accelerate import Accelerator
from ner.data.corpus import Source, load_corpus
from ner.tagging import teacher
datasets.config.HF_DATASETS_CACHE = Path(cache)
teacher.SENTENCES_PER_CHUNK = 7
corpus = load_corpus(Source(corpus_folder), ["de"], ["train"])
accelerator = Accelerator(mixed_precision="no")
sentences = corpus["de"]["train"].select(range(30))
for again in range(2):  # the second time from the cache
    table = teacher.soft_targets(teachers, sentences, corpus.tags, accelerator, max_tokens=2048)
np.save(f"{sys.argv[1]}-{accelerator.process_index}.npy", table)
accelerator.end_training()
"""


@pytest.mark.parametrize("disks", ["shared", "own"])
def test_processes_share_the_work_of_teachers(teachers, german, corpus_folder, tmp_path, disks):
    fork_ranks(2, RANK, tmp_path / "cache", corpus_folder, disks, *teachers)
    both = [np.load(tmp_path / f"cache-{rank}.npy") for rank in range(2)]
    assert (both[0] == both[1]).all()
    np.testing.assert_allclose(both[0], targets(teachers, german.select(range(30))), atol=1e-3)


def test_a_teacher_of_other_tags_is_refused(narrow_encoder, german, tmp_path):
    name = write_tagger(tmp_path / "other", narrow_encoder, (*LABELS, "B-MISC", "I-MISC"))
    with pytest.raises(InputError, match=r"`teacher` .*other has the tags .*: B-MISC, I-MISC differ; `map_tags`"):
        targets([str(name)], german.select(range(2)))


@pytest.fixture(scope="module")
def small(corpus_folder, tmp_path_factory):
    return part_of(corpus_folder, tmp_path_factory.mktemp("small") / "corpus", train=60, validation=20, test=20)


def weights(folder):
    return load_file(folder / "last/model.safetensors")


def test_training_with_a_teacher(teachers, small, narrow_encoder, tmp_path, capsys):
    """The sentences are counted, and a run goes on as if it had not been stopped."""
    flags = f"--batch-size 16 --epochs 2 --sample fr=0.2 --unlabelled fr --teacher {teachers[0]} {teachers[1]}"
    flags += " --sampling-temperature 2 --augment-unlabelled case=0.3 asides=0.5"
    train_run(narrow_encoder, small, tmp_path / "whole", flags)
    said = capsys.readouterr().err
    found = re.search(r"unlabelled: (\d+) sentences: fr (\d+); left out", said)
    assert found
    assert found[1] == found[2]
    made = rf"unlabelled: augmentation: {found[1]} sentences, .* \+(\d+) with changed .* \+(\d+) with an aside"
    copies = re.search(made, said)
    assert copies
    assert min(map(int, copies.groups())) > 0
    num_sentences = 60 + int(found[1]) + sum(map(int, copies.groups()))
    drawn = re.search(r"sentences drawn in an epoch: de (\d+), unlabelled fr (\d+)", said)
    assert drawn
    assert sum(map(int, drawn.groups())) == num_sentences
    metrics = json.loads((tmp_path / "whole/metrics.json").read_text(encoding="utf-8"))
    assert (metrics["steps"], metrics["train_sentences"]) == (2 * -(-num_sentences // 16), 60)
    train_run(narrow_encoder, small, tmp_path / "alone", "--batch-size 16 --epochs 2 --sample fr=0.2")
    assert any((weights(tmp_path / "whole")[n] != t).any() for n, t in weights(tmp_path / "alone").items())

    train_run(narrow_encoder, small, tmp_path / "stopped", flags + " --checkpoint-every 5 --keep 9")
    (tmp_path / "stopped/metrics.json").unlink()
    for folder in sorted((tmp_path / "stopped/checkpoints").iterdir())[1:]:
        shutil.rmtree(folder)
    train_run(narrow_encoder, small, tmp_path / "stopped", flags + " --resume auto")
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "stopped")[name], tensor), name

    train_run(narrow_encoder, small, tmp_path / "stopped", flags + " --resume auto")  # finished
    with pytest.raises(SystemExit) as caught:
        train_run(narrow_encoder, small, tmp_path / "stopped", flags + " --resume auto --certainty-power 2")
    assert caught.value.code == 2
    assert "certainty_power" in capsys.readouterr().err
