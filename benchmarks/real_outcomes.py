"""Error rates on real outcomes (GSM8K, 21 models), through ``relgate import outcomes`` and ``relgate gate``.

The data lie outside the project, in the folder that ``RELGATE_DATA`` names. The prompts of the file are the population:
its rates are the truth, and each draw of prompts from it is a release. Many draws share a file: each is a cell of its
own (``each: [draw]``), passed or not at the policy's alpha, and failed where its p-value alone is at most alpha, which
is the verdict of a policy with that single check.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.error_rates_report import ALPHA, KnownOrder, Rates, rates_of
from golden_sets.errors import InputError
from pipelines.cli.app import run

ROOT = Path(__file__).resolve().parent.parent
FILE = "gsm8k_outcomes.csv"
SINGLE = ("Mixtral-8x7B-Instruct-v0.1", "gpt-3.5-turbo-0125", "Yi-1.5-34B-Chat", "Qwen2-72B-Instruct")
"""Models for split halves: pass rates .70, .80, .87 and .93."""
NEAR = (
    ("yi-large-preview", "Yi-1.5-34B-Chat"),
    ("Qwen2-72B-Instruct", "Meta-Llama-3-70B-Instruct"),
    ("Mistral-Large-2", "claude-3-opus-20240229"),
)
"""Pairs of nearly equal rates."""
ORDERED = (
    ("Athene-70B", "deepseek-v2.5-0908"),
    ("Yi-1.5-34B-Chat", "Qwen2-72B-Instruct"),
    ("deepseek-v2.5-0908", "gpt-4o-2024-08-06"),
    ("Qwen2-72B-Instruct", "Mistral-Large-2"),
    ("Meta-Llama-3-70B-Instruct", "gemini-1.5-pro-exp-0801"),
    ("gpt-4o-2024-08-06", "claude-3-5-sonnet-20241022"),
    ("Mistral-Large-2", "deepseek-v2.5-0908"),
)
"""Candidate and incumbent of known order: from 5.9 points below to 3.0 above."""
SIZES = (200, 500, 1319)
MARGIN = 0.03
Codes = NDArray[np.int64]


def data_file() -> Path:
    """The file of outcomes.

    Raises:
        InputError: it is not there.
    """
    path = Path(os.environ.get("RELGATE_DATA", ROOT.parent / "shared" / "data")) / FILE
    if not path.is_file():
        raise InputError("the real outcomes are not there", where=path, do="set RELGATE_DATA to their folder")
    return path.resolve()


class RealOutcomes:
    """The outcomes of every model on the prompts that it answered, and a folder to work in."""

    def __init__(self, folder: Path, *, seed: int = 207) -> None:
        self._folder, self._rng = folder, np.random.default_rng(seed)
        self._table = pd.read_csv(data_file()).pivot_table(index="id", columns="model", values="correct")

    def of(self, model: str) -> Codes:
        """Correct (1) or not (0), prompt by prompt."""
        return np.asarray(self._table[model].dropna().to_numpy(dtype=np.int64))

    def halves(self, model: str, draws: int, *, again: bool) -> list[str]:
        """Verdicts on random halves of the prompts against a floor equal to the model's rate on all of them.

        Args:
            model: whose outcomes.
            draws: halves.
            again: draw prompts with replacement, so that the floor is exactly the rate of each draw.
        """
        outcomes = self.of(model)
        half = outcomes.size // 2
        drawn = [self._rng.choice(outcomes.size, half, replace=again) for _ in range(draws)]
        check = {"test": "floor", "threshold": float(outcomes.mean())}
        return self._gate(check, [outcomes[d] for d in drawn])

    def halves_as_rivals(self, model: str, draws: int) -> list[str]:
        """The point rule on halves of one model: promote the first if its rate is not below the second's."""
        outcomes = self.of(model)
        found = []
        for _ in range(draws):
            order = self._rng.permutation(outcomes)
            half = order.size // 2
            found.append("promote" if order[:half].mean() >= order[half:].mean() else "block")
        return found

    def exchanged(self, pair: tuple[str, str], draws: int) -> list[str]:
        """Verdicts on two models whose outcomes are exchanged on a random half of the prompts: equal by design."""
        first, second = (self.of(model) for model in pair)
        coins = self._rng.random((draws, first.size)) < 0.5
        return self._gate(
            {"test": "non_inferiority", "margin": MARGIN},
            [np.where(coin, first, second) for coin in coins],
            [np.where(coin, second, first) for coin in coins],
        )

    def redrawn(self, pair: tuple[str, str], n: int, draws: int, *, margin: float = MARGIN) -> list[str]:
        """Verdicts on prompts drawn with replacement: the true difference is that over the whole file."""
        candidate, incumbent = (self.of(model) for model in pair)
        drawn = [self._rng.integers(candidate.size, size=n) for _ in range(draws)]
        check = {"test": "non_inferiority", "margin": margin}
        return self._gate(check, [candidate[d] for d in drawn], [incumbent[d] for d in drawn])

    def difference(self, pair: tuple[str, str]) -> float:
        """Candidate's rate minus the incumbent's, over the whole file."""
        return float(self.of(pair[0]).mean() - self.of(pair[1]).mean())

    def whole(self, pair: tuple[str, str]) -> dict[str, Any]:
        """The decision on the file as it is, by the commands as a person types them, each a process of its own."""
        self._policy({"test": "non_inferiority", "margin": MARGIN}, each=[])
        for name, model in zip(("candidate", "incumbent"), pair, strict=True):
            _command(self._folder, "import", "outcomes", str(data_file()), *_picked(name, model))
        told = _command(self._folder, "gate", "candidate.json", *_GATE, "--incumbent", "incumbent.json")
        return dict(json.loads(told))

    def _policy(self, check: Mapping[str, Any], *, each: Sequence[str]) -> None:
        one = {"id": "check", "metric": "pass_rate", "each": list(each), **check}
        policy = {"name": "p", "version": "1", "alpha": ALPHA, "primary": "check", "checks": [one]}
        (self._folder / "policy.yaml").write_text(json.dumps(policy))  # JSON is YAML

    def _gate(self, check: Mapping[str, Any], *arms: Sequence[Codes]) -> list[str]:
        """One verdict per draw."""
        self._policy(check, each=["draw"])
        for name, draws in zip(("candidate", "incumbent"), arms, strict=False):
            _write(self._folder / f"{name}.csv", draws)
            _in_process(self._folder, "import", "outcomes", f"{name}.csv", "--subject", name, "-o", f"{name}.json")
        against = ("--incumbent", "incumbent.json") if len(arms) == 2 else ()
        decision = json.loads(_in_process(self._folder, "gate", "candidate.json", *_GATE, *against))
        found = {check["cell"]["draw"]: _alone(check) for check in decision["checks"]}
        return [found[f"d{i}"] for i in range(len(arms[0]))]


def real_outcomes(draws: int, *, quick: bool = False, seed: int = 207) -> Iterator[Rates | KnownOrder]:
    """Split halves, exchanged pairs, and pairs of a known order.

    Args:
        draws: for each model, pair and size.
        quick: fewer of those.
        seed: of all chance.

    Raises:
        InputError: the data are not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = RealOutcomes(Path(folder), seed=seed)
        single, near = (SINGLE[:1], NEAR[:1]) if quick else (SINGLE, NEAR)
        for again, how in ((False, "split in halves"), (True, "halves drawn with replacement")):
            verdicts = [v for model in single for v in data.halves(model, draws, again=again)]
            yield rates_of("GSM8K", f"{len(single)} models {how}, floor = rate on all prompts", verdicts, "promote")
        rivals = [v for model in single for v in data.halves_as_rivals(model, draws)]
        yield rates_of("GSM8K, peers", "one half >= the other half of the same model", rivals, "block", limit=None)
        same = [v for pair in near for v in data.exchanged(pair, draws)]
        told = f"{len(near)} pairs, outcomes exchanged at random, n = 1319, margin 3 points"
        yield rates_of("GSM8K", told, same, "block")
        whole = [str(data.whole(pair)["verdict"]) for pair in near]
        yield rates_of("GSM8K", f"{len(near)} pairs of nearly equal rates, the file as it is", whole, "block")
        yield from _ordered(data, draws, quick=quick)


def _ordered(data: RealOutcomes, draws: int, *, quick: bool) -> Iterator[Rates | KnownOrder]:
    pairs = sorted(ORDERED[:2] if quick else ORDERED, key=data.difference)
    sizes = SIZES[:1] if quick else SIZES
    for pair in pairs:
        for n in sizes:
            verdicts = data.redrawn(pair, n, draws)
            promote, block = (verdicts.count(name) / draws for name in ("promote", "block"))
            yield KnownOrder(data.difference(pair), MARGIN, n, draws, promote, block)
    worse = [pair for pair in pairs if data.difference(pair) < -0.01]
    for n in sizes[-2:]:
        verdicts = [v for pair in worse for v in data.redrawn(pair, n, draws, margin=-data.difference(pair))]
        told = f"{len(worse)} pairs, margin = their true difference, n = {n}"
        yield rates_of("GSM8K", told, verdicts, "promote")


_GATE = ("--policy", "policy.yaml", "--json")


def _picked(name: str, model: str) -> list[str]:
    columns = ["--column", "prompt_id=id", "--column", "outcome=correct", "--where", f"model={model}"]
    return ["--subject", model, "-o", f"{name}.json", *columns]


def _write(path: Path, draws: Sequence[Codes]) -> None:
    lines = ["prompt_id,outcome,dim.draw"]
    lines += [f"d{i}-{j},{outcome},d{i}" for i, draw in enumerate(draws) for j, outcome in enumerate(draw.tolist())]
    path.write_text("\n".join(lines) + "\n")


def _alone(check: Mapping[str, Any]) -> str:
    """The verdict of a policy with this check alone."""
    if check["status"] == "pass":
        return "promote"
    return "block" if check["p_fail"] is not None and check["p_fail"] <= ALPHA else "inconclusive"


def _in_process(folder: Path, *arguments: str) -> str:
    """What a command prints; verdicts are no errors."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        code = run([*arguments])
    if code in (2, 4):
        raise InputError(f"relgate {' '.join(arguments)} ended with exit code {code}")
    return printed.getvalue()


def _command(folder: Path, *arguments: str) -> str:
    """The same in a process of its own."""
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode in (2, 4):
        raise InputError(f"relgate {' '.join(arguments)} ended with exit code {done.returncode}: {done.stderr}")
    return done.stdout
