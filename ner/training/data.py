"""What a run is trained and validated on: sentences as the encoder reads them, and the plan of batches."""

from dataclasses import dataclass, replace
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.config import TrainConfig
from ner.data.corpus import Corpus
from ner.data.sampling import join_languages
from ner.errors import InputError
from ner.inputs.batching import EpochPlan
from ner.inputs.collators import Collator, PackedCollator, choose_collator
from ner.inputs.encoding import Encoded, encode_once
from ner.utils import progress_bar


@dataclass(frozen=True)
class Data:
    """What is trained and validated on, encoded for the model. fingerprint: equal where all of it is."""

    corpus: Corpus
    train: Encoded
    validation: dict[str, Encoded]
    fingerprint: str


def encode_data(
    config: TrainConfig, accelerator: Accelerator, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, longest: int
) -> Data:
    """Words and tags -> sub-tokens and labels. longest: window that the encoder takes, in sub-tokens."""
    if config.max_length and config.max_length > longest:
        raise InputError(f"`max_length` {config.max_length}: {config.model} takes {longest} sub-tokens at most")

    def encoded(dataset: Any, title: str) -> Encoded:
        with progress_bar(accelerator, title, " sentences", total=len(dataset)) as bar:
            return encode_once(
                dataset,
                tokenizer,
                corpus.tags,
                max_length=config.max_length or longest,
                label_tokens=config.label_tokens,
                progress=bar.update,
            )

    sentences = join_languages([corpus[name]["train"] for name in config.train_on], config.max_train_sentences)
    with accelerator.local_main_process_first():
        train = encoded(sentences, "encode train")
        validation = {
            name: encoded(corpus[name]["validation"], f"encode {name} validation") for name in config.train_on
        }
    fingerprint = " ".join(part.fingerprint() for part in (train, *validation.values()))
    return Data(corpus, train, validation, fingerprint)


def plan_batches(
    config: TrainConfig, accelerator: Accelerator, model: PreTrainedModel, data: Data
) -> tuple[Collator, EpochPlan, str]:
    """How sentences become tensors, which ones make each step, and why the rows are packed or padded."""
    probe = [data.train[i] for i in range(min(16, len(data.train)))]
    collator, why = choose_collator(model, probe, config.packing, config.row_length)
    plan = EpochPlan(
        data.train,
        config.batch_size,
        config.row_length if isinstance(collator, PackedCollator) else None,
        config.max_tokens_per_micro_batch,
        config.seed,
        num_processes=accelerator.num_processes,
    )
    for windows in data.validation.values():
        replace(plan, encoded=windows)  # raises where a window does not fit
    return collator, plan, why
