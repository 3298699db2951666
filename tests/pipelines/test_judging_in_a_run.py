"""A run asks its judges for more than scores: votes, pairs, further rubrics, planted answers; the gate rests on it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from tests.support.serving import adding_server

PROJECT = """\
name: sums
policy: policy.yaml
judges: [one.yaml, two.yaml, three.yaml]
judging: {pairwise: better, pairwise_truth: true, pairs: 150, repeated: 20, planted: 12}
sets: [golden.yaml]
mlflow: null
labels: {source: checker}
"""
POLICY = """\
name: small
version: 1
alpha: 0.05
primary: floor
labels_per_arm: 200
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.6, expected: 0.9}
  - {id: brief, metric: pass_rate, where: {set: golden, rubric: brevity}, test: floor, threshold: 0.5, expected: 0.9}
  - {id: position, metric: judge_position_bias, test: ceiling, threshold: 0.2}
  - {id: gaming, metric: judge_gaming_rate, test: ceiling, threshold: 0.3}
  - {id: kin, metric: judge_self_preference, test: ceiling, threshold: 0.2}
  - {id: again, metric: judge_inconsistency, test: ceiling, threshold: 0.3}
  - {id: preferred, metric: win_rate, test: floor, threshold: 0.5}
"""
JUDGE = """\
name: {name}
declared_weights: {name}
engine: {{kind: endpoints, version: x, runtime: {{urls: ["{url}"], served_model: judge}}}}
template: '{{criteria}} {{question}} ref {{reference}} [[{{answer}}]]'
pair_template: '{{criteria}} {{question}} ref {{reference}} [[{{first}}]] or [[{{second}}]]'
rubrics: [correctness.yaml, brevity.yaml, better.yaml]
"""
CANDIDATE = """\
name: {name}
declared_weights: {name}
sampling: {{temperature: 0.0, max_tokens: 8, seed: 0}}
engine: {{kind: endpoints, version: x, runtime: {{urls: ["{url}"]}}}}
"""
ASKED = re.compile(r"What is (\d+) \+ (\d+)\? ref \d+ \[\[\s*(.*?)\s*\]\](?: or \[\[\s*(.*?)\s*\]\])?", re.DOTALL)
PROMPTS = 300


def judge_that_errs(name: str, share: float, *, prefers_first: bool = False) -> Callable[[str], str]:
    """A judge that can add, but says the contrary in a share of the cases."""

    def said(message: str) -> str:
        found = ASKED.search(message)
        if found is None:
            return "I would rather not say."
        luck = hashlib.sha256(f"{name} {message}".encode()).digest()[0] / 256
        total = str(int(found[1]) + int(found[2]))
        if found[4] is None:
            right = (found[3] == total) is not (luck < share) or message.startswith("Is it brief")
            return f"Score: {5 if right else 1}"
        if prefers_first and found[3] != found[4]:
            return "Better: 1"
        first, second = (answer == total for answer in (found[3], found[4]))
        return f"Better: {0 if first == second else 1 if first else 2}"

    return said


@dataclass(frozen=True)
class Work:
    directory: Path
    capsys: pytest.CaptureFixture[str]

    def evaluate(self) -> Any:
        self.capsys.readouterr()
        options = ["-o", str(self.directory / "new.json"), "--incumbent", "old"]
        code = run(["eval", "new", *options, "--project", str(self.directory), "--json"])
        printed = self.capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    def checks(self) -> dict[str, Any]:
        self.capsys.readouterr()
        run(["gate", str(self.directory / "new.json"), "--policy", str(self.directory / "policy.yaml"), "--json"])
        return {check["id"]: check for check in json.loads(self.capsys.readouterr().out)["checks"]}

    @property
    def details(self) -> Any:
        return json.loads((self.directory / "new.json").read_text())["evidence"]["provenance"]["details"]


def write(directory: Path, models: str, judges: dict[str, str]) -> None:
    (directory / "candidates").mkdir()
    rubric = "{{id: {id}, version: '1', criteria: '{ask}', scale: [1, 5]}}\n"
    files = {
        "relgate.yaml": PROJECT,
        "policy.yaml": POLICY,
        "correctness.yaml": rubric.format(id="correctness", ask="Is the sum right?"),
        "brevity.yaml": rubric.format(id="brevity", ask="Is it brief?"),
        "better.yaml": "{id: better, version: '1', kind: pairwise, criteria: 'Which sum is right?'}\n",
        "golden.yaml": "{name: golden, version: '1', kind: golden, file: golden.jsonl, rubric: correctness, "
        "criteria: [brevity]}\n",
        **{f"{name}.yaml": JUDGE.format(name=name, url=url) for name, url in judges.items()},
        **{f"candidates/{name}.yaml": CANDIDATE.format(name=name, url=models) for name in ("new", "old")},
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    prompts = [
        {
            "id": f"p{i}",
            "prompt": f"What is {i} + {i + 1}?",
            "reference": str(2 * i + 1),
            "checker": {"kind": "number", "value": str(2 * i + 1)},
        }
        for i in range(PROMPTS)
    ]
    (directory / "golden.jsonl").write_text("".join(json.dumps(one) + "\n" for one in prompts))


@pytest.fixture
def work(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Work]:
    """Three judges, each wrong in its own tenth of the answers; the parameter: whether they prefer what comes first."""
    with ExitStack() as stack:
        models = stack.enter_context(adding_server(new=0.95, old=0.8))
        judges = {}
        for name in ("one", "two", "three"):
            server = stack.enter_context(adding_server(judge=0.0))
            server.otherwise = judge_that_errs(name, 0.1, prefers_first=request.param)
            judges[name] = server.url
        write(tmp_path, models.url, judges)
        yield Work(tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("work", [False], indirect=True)
def test_votes_pairs_and_planted_answers_reach_the_gate(work: Work) -> None:
    told = work.evaluate()
    estimates = {e["metric"]: e for e in told["estimates"] if not e["cell"] and e["arm"] == "candidate"}
    (calibration,) = told["calibrations"]
    # Two of three are wrong together in about 3 % of the answers; each alone in 10 %.
    assert 0.94 < calibration["agreement"] < 1.0
    agreement = work.details["judges"]["correctness"]
    assert agreement["unscored"] == {"one": 0, "two": 0, "three": 0}
    assert 0.2 < agreement["split"]["value"] < 0.35
    assert agreement["kappa"]["low"] < agreement["kappa"]["value"] < agreement["kappa"]["high"] < 1
    assert estimates["win_rate"]["low"] > 0.5
    assert estimates["judge_position_bias"]["value"] == 0
    assert {"judge_gaming_rate", "judge_injection_rate", "judge_inconsistency"} <= estimates.keys()
    checks = work.checks()
    passed = {name for name, one in checks.items() if one["status"] == "pass"}
    assert passed >= {"floor", "position", "kin", "again", "preferred"}
    # No checker knows what is brief, so nothing is known of the judge's error there.
    assert checks["brief"]["status"] == "inconclusive"
    assert "rubric 'brevity'" in checks["brief"]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("work", [True], indirect=True)
def test_judges_that_prefer_a_place_are_found_out(work: Work) -> None:
    told = work.evaluate()
    estimates = {e["metric"]: e for e in told["estimates"] if not e["cell"] and e["arm"] == "candidate"}
    assert estimates["judge_position_bias"]["value"] == 1
    # Both orders contradict each other, so every pair is a tie: the win rate says nothing for either.
    position = work.checks()["position"]
    assert position["status"] == "fail"


@pytest.mark.slow
@pytest.mark.parametrize("work", [False], indirect=True)
def test_one_judge_that_answers_prose_is_outvoted_and_counted(work: Work) -> None:
    with adding_server(judge=0.0) as server:
        server.otherwise = lambda _message: "Das kann ich leider nicht beurteilen."
        (work.directory / "three.yaml").write_text(JUDGE.format(name="three", url=server.url))
        told = work.evaluate()
    agreement = work.details["judges"]["correctness"]
    assert agreement["unscored"]["three"] == agreement["items"] > 0
    assert (agreement["unscored"]["one"], agreement["unscored"]["two"]) == (0, 0)
    # Where the other two disagree nobody has more than half of the votes.
    unscored = next(e["unscored"] for e in told["estimates"] if e["metric"] == "pass_rate" and not e["cell"])
    assert 5 < unscored < 50
    assert work.checks()["floor"]["status"] == "inconclusive"
