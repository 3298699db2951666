"""Labels of a router from a project: both models are asked once, their answers scored, and nothing twice."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from golden_sets.errors import InputError
from golden_sets.reading import read_set
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.router_labels import RouterLabels, label_prompts
from pipelines.workspace import Workspace
from tests.support.serving import AddingServer, adding_server

PROJECT = """\
name: sums
judge: judge.yaml
sets: [gate.yaml]
mlflow: null
labels: {source: checker}
"""
POLICY = """\
name: small
version: 1
alpha: 0.05
primary: floor
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.6, expected: 0.9}
"""
JUDGE = """\
name: judge
declared_weights: judge
engine: {{kind: endpoints, version: x, runtime: {{urls: ["{url}"], served_model: judge}}}}
template: '{{criteria}} {{question}} ref {{reference}} [[{{answer}}]]'
rubrics: [correctness.yaml]
"""
CANDIDATE = """\
name: {name}
declared_weights: {name}
sampling: {{temperature: 0.0, max_tokens: 8, seed: 0}}
engine: {{kind: endpoints, version: x, runtime: {{urls: ["{url}"]}}}}
price: {{usd_per_million_input_tokens: {price}, usd_per_million_output_tokens: {price}}}
"""
JUDGED = re.compile(r"What is (\d+) \+ (\d+)\? ref \d+ \[\[\s*(.*?)\s*\]\]", re.DOTALL)
PROMPTS = 80


def verdict(message: str) -> str:
    """A judge that can add: 5 of 5 for the right sum, 2 for a wrong one; it does not read sums beyond 150."""
    found = JUDGED.search(message)
    if found is None or int(found[1]) + int(found[2]) > 150:
        return "I would rather not say."
    return f"Score: {5 if int(found[1]) + int(found[2]) == int(found[3]) else 2}"


@dataclass(frozen=True)
class Work:
    directory: Path
    models: AddingServer

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.directory / name
        path.write_text(path.read_text().replace(old, new))

    def label(self, *cards: str, small: str = "small", flagship: str = "large") -> RouterLabels:
        workspace = Workspace.open(Project.load(self.directory))
        one, other = (workspace.project.candidate(name) for name in (small, flagship))
        sets = [read_set(self.directory / card) for card in cards]

        async def go() -> RouterLabels:
            async with Fleet(workspace.project.logs) as fleet:
                return await label_prompts(workspace, one, other, sets, fleet=fleet, progress=Progress(quiet=True))

        return asyncio.run(go())


def write_set(directory: Path, name: str, first: int, prompts: int, more: str = "scoring: checker") -> None:
    lines = [
        {
            "id": f"p{i}",
            "prompt": f"What is {i} + {i + 1}?",
            "reference": str(2 * i + 1),
            "checker": {"kind": "number", "value": str(2 * i + 1)},
            "category": "even" if i % 2 == 0 else "odd",
        }
        for i in range(first, first + prompts)
    ]
    (directory / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (directory / f"{name}.yaml").write_text(
        f"{{name: {name}, version: '1', kind: golden, file: {name}.jsonl, rubric: correctness, {more}}}\n"
    )


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    """A flagship that is always right, and a small model that is right in half of the sums."""
    with adding_server(small=0.5, large=1.0) as models, adding_server(judge=0.0) as judge:
        judge.otherwise = verdict
        (tmp_path / "candidates").mkdir()
        files = {
            "relgate.yaml": PROJECT,
            "policy.yaml": POLICY,
            "judge.yaml": JUDGE.format(url=judge.url),
            "correctness.yaml": "{id: correctness, version: '1', criteria: 'Is it right?', scale: [1, 5]}\n",
            "candidates/small.yaml": CANDIDATE.format(name="small", url=models.url, price=1),
            "candidates/large.yaml": CANDIDATE.format(name="large", url=models.url, price=10),
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        write_set(tmp_path, "gate", 1000, 5)
        write_set(tmp_path, "routing", 0, PROMPTS)
        yield Work(tmp_path, models)


def test_both_models_are_asked_every_prompt_once(work: Work) -> None:
    found = work.label("routing.yaml")
    pairs = found.labelled.pairs
    assert len(pairs) == PROMPTS
    assert pairs.flagship.tolist() == [1.0] * PROMPTS
    assert 0.3 < pairs.small.mean() < 0.7
    assert set(pairs.families or ()) == {"even", "odd"}
    assert pairs.small_usd is not None
    assert pairs.flagship_usd is not None
    # 8 tokens in and 2 out, at 1 and 10 USD per million.
    assert pairs.small_usd.tolist() == pytest.approx([1e-5] * PROMPTS)
    assert pairs.flagship_usd.tolist() == pytest.approx([1e-4] * PROMPTS)
    assert (found.generated, found.judged) == (2 * PROMPTS, 0)
    assert work.models.asked == {"small": PROMPTS, "large": PROMPTS}
    asked = dict(zip(pairs.ids, pairs.prompts, strict=True))
    assert asked["p7"] == "What is 7 + 8?"


def test_nothing_is_asked_twice_and_labels_grow_with_the_sets(work: Work) -> None:
    first = work.label("routing.yaml")
    again = work.label("routing.yaml")
    assert (again.generated, work.models.asked.total()) == (0, 2 * PROMPTS)
    assert again.labelled.pairs.small.tolist() == first.labelled.pairs.small.tolist()
    write_set(work.directory, "more", PROMPTS, 10)
    more = work.label("routing.yaml", "more.yaml")
    assert (len(more.labelled.pairs), more.generated) == (PROMPTS + 10, 20)
    assert set(more.labelled.pairs.ids) >= {"routing/p0", f"more/p{PROMPTS}"}


def test_judged_answers_score_what_the_judge_gives_and_the_rest_is_left_out(work: Work) -> None:
    work.edit("relgate.yaml", "source: checker", "source: none")
    write_set(work.directory, "judged", 0, PROMPTS, "scoring: judge")
    found = work.label("judged.yaml")
    pairs = found.labelled.pairs
    # The judge reads sums up to 150: those of 0 to 74.
    assert sorted(pairs.ids) == sorted(f"p{i}" for i in range(75))
    assert len(found.labelled.unscored) == 5
    assert found.labelled.notes() == ["5 prompts are left out: an answer could not be scored"]
    assert set(pairs.flagship.tolist()) == {1.0}
    assert set(pairs.small.tolist()) == {0.25, 1.0}
    assert found.judged > 0
    again = work.label("judged.yaml")
    assert again.labelled.pairs.small.tolist() == pairs.small.tolist()


def test_where_checkers_tell_the_truth_it_counts_in_place_of_the_judges_scores(work: Work) -> None:
    write_set(work.directory, "judged", 0, PROMPTS, "scoring: judge")
    found = work.label("judged.yaml")
    assert len(found.labelled.pairs) == PROMPTS
    assert set(found.labelled.pairs.small.tolist()) == {0.0, 1.0}
    (calibration,) = found.calibrations
    assert calibration.positives > 0
    assert calibration.agreement == pytest.approx(75 / 80), "a verdict that cannot be read agrees with nothing"


def test_what_cannot_be_labelled_is_refused_before_a_model_is_asked(work: Work) -> None:
    with pytest.raises(InputError, match=r"no set to label - name cards with --set or router\.sets"):
        work.label()
    with pytest.raises(InputError, match="'large' and 'large' are the same model"):
        work.label("routing.yaml", small="large")
    card = (work.directory / "routing.yaml").read_text().replace("golden", "false_refusal")
    (work.directory / "benign.yaml").write_text(card)
    with pytest.raises(InputError, match=r"benign\.yaml: set 'routing' is of kind false_refusal"):
        work.label("benign.yaml")
    assert work.models.asked.total() == 0
