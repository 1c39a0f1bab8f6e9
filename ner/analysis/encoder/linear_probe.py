"""A linear probe: what multinomial logistic regression reads from vectors, and what it could learn by heart.

Accuracy alone does not tell whether the vectors hold the labels or the probe learns them by heart. A control task does
(Hewitt and Liang 2019, arXiv 1909.03368): every word type has a random label, which no encoder can know. Selectivity is
accuracy minus accuracy on the control task.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

L2 = 1e-3  # half of it times the squared weights is added to the mean cross-entropy (nats)
MAX_ITERATIONS = 100
SMALLEST_SPREAD = 1e-6
TOLERANCE = 1e-4  # of the largest gradient


@dataclass(frozen=True)
class LinearProbe:
    """Logistic regression on standardised vectors.

    mean, scale: float32 [hidden], of the training vectors; weight: float32 [hidden, classes]; bias: float32 [classes].
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """int64 [words]: the most probable class. vectors: float32 [words, hidden]."""
        scores = standardised(vectors, self.mean, self.scale) @ self.weight + self.bias
        return scores.argmax(dim=1).numpy()


@dataclass(frozen=True)
class ProbeScore:
    """What a probe scored on words.

    accuracy: share of words; macro_f1: mean of the F1 of classes, per word; control_accuracy: on the control task;
    majority: accuracy of the commonest training class everywhere; seen: share of the words whose type is among the
    training words.
    """

    accuracy: float
    macro_f1: float
    control_accuracy: float
    majority: float
    seen: float
    num_words: int

    @property
    def selectivity(self) -> float:
        """Accuracy beyond what the probe learns by heart."""
        return self.accuracy - self.control_accuracy


def fit(vectors: np.ndarray, labelings: Sequence[np.ndarray], num_classes: int, *, l2: float = L2) -> list[LinearProbe]:
    """Fits a probe to each labeling with L-BFGS, all words at once, from weights of zero.

    The same input gives the same probes. Together, they read the vectors once; they do not depend on each other, but
    for when the search ends.

    Args:
        vectors: float32 [words, hidden], at least one word.
        labelings: int64 [words] each, from 0 up to num_classes.
        num_classes: Of the labels.
        l2: Weight of the L2 penalty on the weights, not on the bias.

    Returns:
        A probe for each labeling.
    """
    raw = torch.from_numpy(vectors)
    mean = raw.mean(dim=0)
    spread = raw.std(dim=0, correction=0)
    scale = torch.where(spread > SMALLEST_SPREAD, spread, 1.0)  # a dimension that never changes says nothing
    x = standardised(vectors, mean, scale)
    y = torch.from_numpy(np.stack(labelings, axis=1))[:, :, None]
    weight = torch.zeros((x.shape[1], len(labelings) * num_classes))
    bias = torch.zeros(len(labelings) * num_classes)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=MAX_ITERATIONS, tolerance_grad=TOLERANCE, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        """Penalised mean cross-entropy, summed over labelings. Sets the gradient: of the scores it is p - y."""
        log_p = torch.addmm(bias, x, weight).view(len(x), len(labelings), num_classes).log_softmax(dim=2)
        value = l2 / 2 * weight.square().sum() - log_p.gather(2, y).sum() / len(x)
        wrong = log_p.exp_().scatter_add_(2, y, torch.full(y.shape, -1.0)).flatten(start_dim=1) / len(x)
        weight.grad = torch.addmm(weight, x.T, wrong, beta=l2)
        bias.grad = wrong.sum(dim=0)
        return value

    optimizer.step(loss)
    parts = zip(weight.split(num_classes, dim=1), bias.split(num_classes), strict=True)
    return [LinearProbe(mean, scale, own_weight.contiguous(), own_bias) for own_weight, own_bias in parts]


def standardised(vectors: np.ndarray, mean: Tensor, scale: Tensor) -> Tensor:
    """float32 [words, hidden]: mean 0 and standard deviation 1, by these numbers."""
    return (torch.from_numpy(vectors) - mean) / scale


def control_labels(words: Sequence[str], shares: np.ndarray, seed: int) -> np.ndarray:
    """int64 [words]: a random label for each word type, the same wherever the word stands.

    Args:
        words: The words.
        shares: float64 [classes], how often each label is drawn: as often as among the training words, so that the
            control task is as uneven as the true one.
        seed: Of the draw.
    """
    limits = np.cumsum(shares / shares.sum())
    types, places = np.unique(np.array(words, dtype=object), return_inverse=True)
    return np.searchsorted(limits[:-1], [number_of(f"{seed} {word}") for word in types], side="right")[places]


def number_of(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone, uniform over texts."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def macro_f1(gold: np.ndarray, predicted: np.ndarray) -> float:
    """The mean of F1 over the classes that are among gold or predicted labels, int64 [words] each."""
    classes = np.union1d(gold, predicted)
    correct = np.array([(gold[predicted == label] == label).sum() for label in classes])
    counts = np.array([(gold == label).sum() + (predicted == label).sum() for label in classes])
    return float((2 * correct / counts).mean())
