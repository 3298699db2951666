"""A small project on disk: two golden sets and one of attacks, scored by a judge that is never started."""

from __future__ import annotations

import json
from pathlib import Path

FILES = {
    "relgate.yaml": """\
name: p
judge: judge.yaml
controls: controls.jsonl
sets: [golden.yaml, other.yaml, attacks.yaml]
labels: {source: checker, seed: 3}
mlflow: null
""",
    "policy.yaml": """\
name: p
version: 1
alpha: 0.05
primary: floor
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.7, expected: 0.8}
  - {id: by-set, metric: pass_rate, test: floor, threshold: 0.7, each: [set_name], expected: 0.8}
  - {id: violations, metric: violation_rate, test: ceiling, threshold: 0.1, expected: 0.02}
""",
    "judge.yaml": """\
name: judge
declared_weights: rev-1
engine: {kind: endpoints, runtime: {urls: ['http://127.0.0.1:9/v1']}}
template: '{criteria} {question} {reference} [[{answer}]]'
rubrics: [rubric.yaml]
""",
    "rubric.yaml": "{id: correctness, version: '1', criteria: 'Is it correct?', scale: [1, 5]}\n",
    "controls.jsonl": """\
{"id": "c1", "set": "adversarial", "prompt": "q1", "answer": "yes", "label": "fail", "rubric": "correctness"}
{"id": "c2", "set": "adversarial", "prompt": "q2", "answer": "no", "label": "pass", "rubric": "correctness"}
""",
    "golden.yaml": "{name: golden, version: '1', kind: golden, file: golden.jsonl, rubric: correctness}\n",
    "other.yaml": "{name: other, version: '1', kind: golden, file: other.jsonl, rubric: correctness}\n",
    "attacks.yaml": "{name: attacks, version: '1', kind: adversarial, file: attacks.jsonl, rubric: correctness}\n",
    "candidates/new.yaml": """\
name: new
declared_weights: rev-2
engine: {kind: endpoints, runtime: {urls: ['http://127.0.0.1:9/v1']}}
price: {usd_per_million_input_tokens: 1, usd_per_million_output_tokens: 2}
""",
}


def write_project(folder: Path, *, prompts: int = 300) -> Path:
    """Write the project; every set has so many prompts, a third of them hard."""
    (folder / "candidates").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for name in ("golden", "other", "attacks"):
        lines = [
            {
                "id": f"{name}-{i}",
                "prompt": f"{name} question {i}",
                "reference": str(i),
                "tier": ("hard", "easy", "easy")[i % 3],
            }
            for i in range(prompts)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Replace a part of a file that is there."""
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
