"""A small perceptron, several seeds of it: both models' scores from one hidden layer, their difference averaged.

Trained with PyTorch; predicts with NumPy, so that a gateway needs no PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special

from golden_sets.errors import InfrastructureError, InputError
from router_training.heads.head import Floats, HeadState, Matrix
from router_training.heads.inputs import Scaling, fit_scaling, scaling_of
from router_training.heads.logistic_fit import CERTAIN
from router_training.heads.tensors import Tensor, tensor
from router_training.pairs import Pairs

SEEDS = 5
"""Perceptrons that are averaged."""
HIDDEN = 64
"""Units of the hidden layer (ReLU)."""
EPOCHS = 5
BATCH = 128
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.1
DROPOUT = 0.5
"""Share of the inputs and of the hidden units left out at each step of training."""


@dataclass(frozen=True, eq=False)
class Perceptrons:
    """A fitted MLP head."""

    kind: ClassVar[str] = "mlp"
    """Its name."""
    scaling: Scaling
    hidden: Tensor
    """Weights into the hidden layer, intercept last, shape (seeds, features + 1, units)."""
    scores: Tensor
    """Weights into the logits of the small model's and the flagship's score, shape (seeds, units + 1, 2)."""

    def predict(self, features: Matrix) -> Floats:
        """Mean delta over the seeds, shape (n,)."""
        return np.asarray(self._deltas(features).mean(axis=0))

    def spread(self, features: Matrix) -> Floats:
        """Standard deviation of the delta over the seeds, shape (n,)."""
        return np.asarray(self._deltas(features).std(axis=0))

    def state(self) -> HeadState:
        """As stored."""
        return HeadState(self.kind, {}, {**self.scaling.tensors(), "hidden": self.hidden, "scores": self.scores})

    def _deltas(self, features: Matrix) -> Floats:
        inputs = self.scaling(features)
        units = np.maximum(inputs @ self.hidden[:, :-1] + self.hidden[:, -1:], 0)
        chances = special.expit((units @ self.scores[:, :-1] + self.scores[:, -1:]).astype(np.float64))
        return np.asarray(chances[..., 1] - chances[..., 0])


def fit_mlp(
    features: Matrix, pairs: Pairs, *, seed: int, seeds: int = SEEDS, hidden: int = HIDDEN, epochs: int = EPOCHS
) -> Perceptrons:
    """An MLP head.

    Args:
        features: shape (n, features).
        pairs: the prompts with both scores, n of them.
        seed: of the first perceptron.
        seeds: how many perceptrons.
        hidden: units of the hidden layer.
        epochs: passes over the prompts.

    Raises:
        InputError: a setting is below 1.
        InfrastructureError: PyTorch is not installed.
    """
    if min(seeds, hidden, epochs) < 1:
        raise InputError(
            f"seeds, hidden units and epochs of an MLP head must be at least 1, not {seeds, hidden, epochs}"
        )
    scaling = fit_scaling(features)
    inputs = scaling(features)
    targets = np.stack([pairs.small, pairs.flagship], axis=1).astype(np.float32)
    return Perceptrons(scaling, *_train(inputs, targets, (seeds, hidden), seed, epochs))


def mlp_of(state: HeadState) -> Perceptrons:
    """A stored MLP head.

    Raises:
        InputError: a tensor is missing or unfit.
    """
    scaling = scaling_of(state)
    hidden = tensor(state, "hidden", (None, len(scaling.mean) + 1, None))
    return Perceptrons(scaling, hidden, tensor(state, "scores", (hidden.shape[0], hidden.shape[2] + 1, 2)))


def _train(inputs: Matrix, targets: Matrix, shape: tuple[int, int], seed: int, epochs: int) -> tuple[Tensor, Tensor]:
    """All perceptrons at once, each with its own start, order of the prompts and dropout."""
    try:
        import torch
    except ImportError as error:
        raise InfrastructureError("training an MLP head needs PyTorch: pip install torch") from error
    seeds, units = shape
    n, width = inputs.shape
    functional = torch.nn.functional
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = (torch.randn(seeds, width + 1, units) / width**0.5).requires_grad_()
        last = torch.randn(seeds, units + 1, 2) / units**0.5
        # Starting at the mean scores leaves only the differences between prompts to learn.
        last[:, -1] = torch.logit(torch.from_numpy(targets).mean(dim=0), eps=CERTAIN)
        last.requires_grad_()
        optimiser = torch.optim.AdamW([first, last], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
        for _ in range(epochs):
            order = torch.stack([torch.randperm(n) for _ in range(seeds)])
            for start in range(0, n, BATCH):
                batch = order[:, start : start + BATCH]
                hidden = functional.relu(functional.dropout(x[batch], DROPOUT) @ first[:, :-1] + first[:, -1:])
                logits = functional.dropout(hidden, DROPOUT) @ last[:, :-1] + last[:, -1:]
                losses = functional.binary_cross_entropy_with_logits(logits, y[batch], reduction="none")
                optimiser.zero_grad()
                torch.autograd.backward(losses.mean(dim=(1, 2)).sum())
                optimiser.step()
    return first.detach().numpy(), last.detach().numpy()
