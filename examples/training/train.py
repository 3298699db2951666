"""Training with a fixed number of steps: warm-up, stable rate, linear decay (WSD).

A run may branch: a snapshot of the stable run is decayed on its own, which is how the incumbent
``flagship-v1`` comes from the first part of ``flagship-v2``'s run (Hu et al. 2024, arXiv 2404.06395).
Matrices use Muon, everything else AdamW.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from examples.training.model import Shape, TinyLlama
from examples.training.tokenizer import EOS, chat_prompt

_WORTH_COMPILING = 1000
"""Steps from which compiling (about a minute) is repaid."""

_ENCODE_AT_ONCE = 10_000

Row = tuple[npt.NDArray[np.uint16], int]
"""Token ids of prompt and answer, and the length of the prompt."""


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; everything that decides the result besides data and code."""

    shape: Shape
    steps: int
    seed: int
    batch: int = 96
    matrix_rate: float = 0.005
    other_rate: float = 0.002
    warmup_steps: int = 50
    decay_share: float = 0.3
    """Share of the steps, at the end, over which the rates fall linearly."""
    final_token_weight: float = 1.0
    """Loss weight of the last token before the end of the answer (the judge's score digit)."""
    mark: str = ""
    """Text after which a token weighs as much as the last one (what stands before every score)."""


def encode(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]]) -> list[Row]:
    """Token rows of (prompt, answer) pairs."""
    rows: list[Row] = []
    for start in range(0, len(pairs), _ENCODE_AT_ONCE):
        chunk = pairs[start : start + _ENCODE_AT_ONCE]
        prompts = tokenizer([chat_prompt(prompt) for prompt, _ in chunk], add_special_tokens=False)["input_ids"]
        answers = tokenizer([answer + EOS for _, answer in chunk], add_special_tokens=False)["input_ids"]
        for prompt, answer in zip(prompts, answers, strict=True):
            rows.append((np.array(prompt + answer, np.uint16), len(prompt)))
    return rows


@dataclass(frozen=True)
class Snapshot:
    """A run's state at a step."""

    weights: dict[str, Any]
    optimizers: tuple[dict[str, Any], ...]
    step: int


class Run:
    """A training run that can be advanced, branched and decayed; reproducible up to the CPU's rounding."""

    def __init__(
        self,
        recipe: Recipe,
        rows: Sequence[Row],
        vocabulary: int,
        log: Callable[[str], None],
        mark: Sequence[int] = (),
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.mark = list(mark)
        """Tokens of the recipe's ``mark``."""
        self.recipe, self.rows, self.log, self.step, self.loss = recipe, rows, log, 0, float("nan")
        self.model = TinyLlama(vocabulary, recipe.shape)
        self._forward = torch.compile(self.model, dynamic=True) if recipe.steps >= _WORTH_COMPILING else self.model
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        muon = torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.0, momentum=0.95)
        adam = torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0)
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = [
            (muon, recipe.matrix_rate), (adam, recipe.other_rate)]  # fmt: skip
        self._batches = _batches(rows, recipe.batch, random.Random(recipe.seed))
        self.seconds = 0.0

    def train_to(self, last: int, decay_from: int | None = None) -> None:
        """Advance to step ``last``; from ``decay_from`` on the rates fall linearly towards zero at ``last``."""
        started = time.monotonic()
        while self.step < last:
            scale = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
            if decay_from is not None and self.step >= decay_from:
                scale *= (last - self.step) / (last - decay_from)
            self._update(next(self._batches), scale)
            self.step += 1
            if self.step % 100 == 0:
                self.log(f"step {self.step} of {last}, loss {self.loss:.4f}, {time.monotonic() - started:.0f} s")
        self.seconds += time.monotonic() - started

    def finish(self) -> None:
        """Train to the recipe's last step with its decay."""
        self.train_to(self.recipe.steps, self.recipe.steps - int(self.recipe.steps * self.recipe.decay_share))

    def snapshot(self) -> Snapshot:
        """Weights and optimizer states, to come back to after a branch (the batch stream goes on)."""
        states = tuple(copy.deepcopy(optimizer.state_dict()) for optimizer, _ in self._optimizers)
        return Snapshot(copy.deepcopy(self.model.state_dict()), states, self.step)

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a snapshot of this run."""
        self.model.load_state_dict(snapshot.weights)
        for (optimizer, _), state in zip(self._optimizers, snapshot.optimizers, strict=True):
            optimizer.load_state_dict(state)
        self.step = snapshot.step

    def _update(self, batch: Sequence[int], scale: float) -> None:
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * scale
        tokens, positions, targets, weights = self._pack([self.rows[index] for index in batch])
        with torch.autocast("cpu", torch.bfloat16):
            logits = self._forward(tokens, positions)
        losses = functional.cross_entropy(logits.float(), targets, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, _ in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        value = float(loss.detach())
        self.loss = value if self.loss != self.loss else 0.97 * self.loss + 0.03 * value

    def _pack(self, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        length = max(len(ids) for ids, _ in rows)
        tokens = np.zeros((len(rows), length), np.int64)
        positions: list[int] = []
        targets: list[int] = []
        weights: list[float] = []
        for row, (ids, prompt) in enumerate(rows):
            tokens[row, : len(ids)] = ids
            positions.extend(range(row * length + prompt - 1, row * length + len(ids) - 1))
            targets.extend(ids[prompt:].tolist())
            weights.extend(self._weights(ids.tolist(), prompt))
        return torch.from_numpy(tokens), torch.tensor(positions), torch.tensor(targets), torch.tensor(weights)

    def _weights(self, ids: list[int], prompt: int) -> list[float]:
        """Loss weight of every token of the answer."""
        weights, mark = [1.0] * (len(ids) - prompt), self.mark
        heavy = {len(ids) - 2} if len(weights) >= 2 else set[int]()
        heavy |= {at for at in range(prompt, len(ids)) if mark and ids[at - len(mark) : at] == mark}
        for at in heavy:
            weights[at - prompt] = self.recipe.final_token_weight
        return weights


def _batches(rows: Sequence[Row], size: int, rng: random.Random) -> Iterator[list[int]]:
    """Endless shuffled batches of rows of similar length (less padding); every pass over the data is a new order."""
    if len(rows) < size:
        raise ValueError(f"{len(rows)} rows do not fill a batch of {size}")
    window = min(size * 32, len(rows) - len(rows) % size)
    order = list(range(len(rows)))
    while True:
        rng.shuffle(order)
        for start in range(0, len(order) - window + 1, window):
            chunk = sorted(order[start : start + window], key=lambda index: len(rows[index][0]))
            batches = [chunk[at : at + size] for at in range(0, window, size)]
            rng.shuffle(batches)
            yield from batches
