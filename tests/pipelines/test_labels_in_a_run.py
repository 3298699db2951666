"""People's labels in a run: written out to be labelled, filled in, read again; every step through the command line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from tests.support.serving import adding_server

PROJECT = """\
name: sums
policy: policy.yaml
judge: judge.yaml
sets: [golden.yaml]
mlflow: null
labels: {source: file, file: labels.jsonl, seed: 1}
"""
POLICY = """\
name: small
version: 1
alpha: 0.05
primary: floor
labels_per_arm: 80
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.6, expected: 0.9}
  - {id: margin, metric: pass_rate, test: non_inferiority, margin: 0.2, expected: 0.1}
"""
JUDGE = """\
name: judge
declared_weights: judge-1
engine: {{kind: endpoints, version: x, runtime: {{urls: ["{url}"]}}}}
template: '{{criteria}} {{question}} ref {{reference}} [[{{answer}}]]'
rubrics: [rubric.yaml]
"""
CANDIDATE = """\
name: {name}
declared_weights: {name}
sampling: {{temperature: 0.0, max_tokens: 8, seed: 0}}
engine: {{kind: endpoints, version: x, runtime: {{urls: ["{url}"]}}}}
"""
SUM = re.compile(r"What is (\d+) \+ (\d+)\?[\s\S]*\[\[\s*(\d+)\s*\]\]")
PROMPTS = 300


def judged(message: str) -> str:
    """A judge that is right nine times in ten."""
    found = SUM.search(message)
    if found is None:
        return "Score: 1"
    right = int(found[1]) + int(found[2]) == int(found[3])
    if hashlib.sha256(found[0].encode()).digest()[0] < 25:
        right = not right
    return f"Score: {5 if right else 1}"


@dataclass(frozen=True)
class Work:
    directory: Path
    capsys: pytest.CaptureFixture[str]
    told: list[str] = field(default_factory=list)
    """What every evaluation said while it ran."""

    def evaluate(self) -> Any:
        self.capsys.readouterr()
        options = ["-o", str(self.directory / "new.json"), "--incumbent", "old"]
        code = run(["eval", "new", *options, "--project", str(self.directory), "--json"])
        printed = self.capsys.readouterr()
        assert code == 0, printed.err
        self.told.append(printed.err)
        return json.loads(printed.out)

    def checks(self) -> dict[str, Any]:
        self.capsys.readouterr()
        run(["gate", str(self.directory / "new.json"), "--policy", str(self.directory / "policy.yaml"), "--json"])
        return {check["id"]: check for check in json.loads(self.capsys.readouterr().out)["checks"]}

    @property
    def waiting(self) -> list[Any]:
        path = self.directory / "new.to-label.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def label(self, rows: list[Any], *, upside_down: bool = False) -> None:
        """What a person who can add says of these answers, added to the file of labels."""
        with (self.directory / "labels.jsonl").open("a") as file:
            for row in rows:
                one, two = map(int, re.findall(r"\d+", row["conversation"][-1]["content"]))
                right = (row["answer"] == str(one + two)) is not upside_down
                file.write(json.dumps({**row, "label": "pass" if right else "fail", "labeller": "ann"}) + "\n")


@pytest.fixture
def work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Work]:
    with adding_server(new=0.9, old=0.9, judge=0.0) as server:
        server.otherwise = judged
        (tmp_path / "candidates").mkdir()
        files = {
            "relgate.yaml": PROJECT,
            "policy.yaml": POLICY,
            "judge.yaml": JUDGE.format(url=server.url),
            "rubric.yaml": "{id: correctness, version: '1', criteria: 'Is the sum right?', scale: [1, 5]}\n",
            "golden.yaml": "{name: golden, version: '1', kind: golden, file: golden.jsonl, rubric: correctness}\n",
            **{f"candidates/{name}.yaml": CANDIDATE.format(name=name, url=server.url) for name in ("new", "old")},
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        prompts = [
            {"id": f"p{i}", "prompt": f"What is {i} + {i + 1}?", "reference": str(2 * i + 1)} for i in range(PROMPTS)
        ]
        (tmp_path / "golden.jsonl").write_text("".join(json.dumps(one) + "\n" for one in prompts))
        yield Work(tmp_path, capsys)


@pytest.mark.slow
def test_labels_of_people_settle_what_the_judge_alone_cannot(work: Work) -> None:
    first = work.evaluate()
    waiting = work.waiting
    assert first["to_label"]["answers"] == len(waiting) >= 80
    assert set(waiting[0]) >= {"conversation", "answer", "answer_digest", "criteria", "label"}
    text = (work.directory / "new.to-label.jsonl").read_text()
    assert not re.search(r"candidate|incumbent|Score", text)
    floor = work.checks()["floor"]
    assert floor["status"] == "inconclusive"
    assert "have no label yet" in floor["reason"]

    work.label(waiting[: len(waiting) // 2])
    work.evaluate()
    left = work.waiting
    assert len(left) == len(waiting) - len(waiting) // 2
    assert re.search(r"\d+ of \d+ have no label yet", work.checks()["floor"]["reason"])

    work.label(left)
    last = work.evaluate()
    assert last["to_label"] == {"file": None, "answers": 0}
    assert not work.waiting
    assert last["generated"] == last["judged"] == 0
    (calibration,) = last["calibrations"]
    assert (calibration["label_source"], calibration["unlabelled"]) == ("file", 0)
    assert 0.8 < calibration["true_positives"] / calibration["positives"] < 1.0
    assert {name: check["status"] for name, check in work.checks().items()} == {"floor": "pass", "margin": "pass"}


@pytest.mark.slow
def test_labels_the_wrong_way_round_are_a_flipped_judge(work: Work) -> None:
    work.evaluate()
    work.label(work.waiting, upside_down=True)
    (calibration,) = work.evaluate()["calibrations"]
    assert calibration["kappa_high"] < 0
    assert "polarity flipped, judge and labels agree less than chance: all answers" in work.told[-1]
    for check in work.checks().values():
        assert check["status"] == "inconclusive"
        assert "polarity flipped" in check["reason"]
