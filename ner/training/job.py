"""What `build` of train.py makes, and `fit` runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.inputs.batching import EpochPlan
from ner.inputs.buffers import BufferPlan
from ner.inputs.collators import Collator
from ner.modeling.embedding_trimming import TrimmedEmbedding
from ner.modeling.loss import micro_batch_loss
from ner.training.checkpointer import Progress
from ner.training.cuda_graphs import Recorder
from ner.training.setup import Data, Loss


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how often.

    trimmed: the rows of the embedding table that are trained, None for all; resume_from: the checkpoint that the run
    goes on from, None for a fresh start; recorder: of CUDA graphs, None where they are not wanted; loss: of a
    micro-batch, as `micro_batch_loss`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    data: Data
    collator: Collator
    plan: EpochPlan | BufferPlan
    optimizer: Optimizer
    scheduler: LRScheduler
    num_steps: int
    evaluate_every: int
    trimmed: TrimmedEmbedding | None
    resume_from: Path | None
    recorder: Recorder | None = None
    loss: Loss = micro_batch_loss

    def point(self, step: int) -> dict[str, Any]:
        """Where a log entry stands."""
        return {"step": step, "epoch": round(step / len(self.plan), 4)}

    def sentences(self, step: int) -> dict[str, Any]:
        """What the training sentences were, for metrics.json: how many, all that there are, and those of a stream."""
        if isinstance(self.plan, BufferPlan):
            drawn = self.plan.drawn(step)
            return {"train_sentences": sum(drawn.values()), "train_sentences_by_language": drawn, "sentences": {}}
        sizes, corpus = self.data.sizes, self.data.corpus
        return {
            "train_sentences": sum(sizes.values()),
            "train_sentences_by_language": sizes,
            "sentences": {language: len(corpus[language]["train"]) for language in sizes},
        }

    def evaluation_is_due(self, progress: Progress) -> bool:
        """Whether the validation sentences are to be scored now."""
        step = progress.step
        return step > progress.evaluated and (step % self.evaluate_every == 0 or step == self.num_steps)
