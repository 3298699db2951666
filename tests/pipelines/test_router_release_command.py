"""``relgate router release`` on a file of scores, with a router that ``relgate router train`` made of it."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from router_training.pairs import Pairs
from tests.support.router_releases import POLICY, scored

pytestmark = pytest.mark.slow


def write(pairs: Pairs, path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", "small_score", "flagship_score", "family"])
        families = pairs.families or ("",) * len(pairs)
        writer.writerows(zip(pairs.ids, pairs.prompts, pairs.small, pairs.flagship, families, strict=True))
    return path


@dataclass(frozen=True)
class Line:
    """A folder with labelled prompts and a router trained on them."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    def relgate(self, *arguments: str) -> tuple[int, Any]:
        self.capsys.readouterr()
        code = run(["router", *arguments, "--cache", str(self.directory / "cache"), "--json"])
        return code, json.loads(self.capsys.readouterr().out)

    def release(self, name: str, *options: str, data: str = "data.csv") -> tuple[int, Any]:
        there = ("--data", str(self.directory / data)) if data else ()
        policy = ("--policy", str(self.directory / "policy.yaml"))
        where = ("--project", str(self.directory))
        return self.relgate("release", str(self.directory / name), *there, *policy, *where, *options)


PRICES = ("--small-usd", "0.0001", "--flagship-usd", "0.001")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    data = write(scored(1600), directory / "data.csv")
    arguments = ["--layers", "1", "--out", str(directory / "router"), "--cache", str(directory / "cache")]
    assert run(["router", "train", "--data", str(data), *arguments, "--json"]) == 0
    return directory


@pytest.fixture
def line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    for name in ("router", "cache"):
        shutil.copytree(trained / name, tmp_path / name)
    shutil.copy(trained / "data.csv", tmp_path / "data.csv")
    (tmp_path / "policy.yaml").write_text(POLICY)
    return Line(tmp_path, capsys)


def test_a_router_is_trained_released_and_released_again_for_nothing(line: Line) -> None:
    code, document = line.release("router", *PRICES)
    assert (code, document["verdict"], document["promoted"]) == (0, "promote", True), document["reason"]
    assert document["incumbent"]["name"] == "always-flagship"
    assert document["channel"]["serves"] == "router"
    assert 0.3 < document["flagship_share"]["value"] < 0.8
    assert document["exposures"] == {"routing-test": 1}
    assert Path(document["reports"]["html"]).read_text().count("data:image/svg+xml") == 3
    code, again = line.release("router", *PRICES, "--incumbent", "always-flagship")
    assert (code, again["recorded"], again["decision"]) == (0, True, document["decision"])


def test_a_router_that_is_served_is_not_compared_with_itself(line: Line) -> None:
    _, document = line.release("router", *PRICES)
    code, again = line.release("router", *PRICES)
    assert (code, again["recorded"], again["decision"], again["attempt"]) == (0, True, document["decision"], 1)


def test_a_router_compared_with_itself_that_nobody_promoted_is_refused(line: Line) -> None:
    code, document = line.release("router", *PRICES, "--incumbent", str(line.directory / "router"))
    assert code == 2
    assert "with itself" in document["error"]["what"]


def test_the_frozen_test_is_all_that_counts(line: Line) -> None:
    """The scores of training prompts may say what they like: they are not looked at."""
    splits = json.loads((line.directory / "router" / "splits.json").read_text())["splits"]
    test = {one["id"] for one in splits["test"]}
    with (line.directory / "data.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["id"] not in test:
            row["small_score"] = "0"
    with (line.directory / "lies.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    code, document = line.release("router", *PRICES)
    again, other = line.release("router", *PRICES, "--incumbent", "always-flagship", data="lies.csv")
    assert (again, other["recorded"], other["decision"]) == (code, True, document["decision"])
    assert {check["estimate"]["n"] for check in document["checks"] if check["id"] != "routing-time"} == {len(test)}


def test_other_scores_of_the_frozen_test_are_told(line: Line) -> None:
    text = (line.directory / "data.csv").read_text()
    (line.directory / "better.csv").write_text(text.replace(",0.0,", ",1.0,"))
    _, honest = line.release("router", *PRICES, "--no-promote")
    _, told = line.release("router", *PRICES, "--no-promote", data="better.csv")
    assert honest["warnings"] == []
    assert [warning for warning in told["warnings"] if "score otherwise" in warning]


def test_without_prices_nothing_is_promoted_that_must_not_be_dearer(line: Line) -> None:
    code, document = line.release("router")
    assert (code, document["verdict"], document["inconclusive_checks"]) == (3, "inconclusive", ["cost"])


def test_a_part_of_the_frozen_test_is_refused(line: Line) -> None:
    lines = (line.directory / "data.csv").read_text().splitlines(keepends=True)
    (line.directory / "part.csv").write_text("".join(lines[:800]))
    code, document = line.release("router", *PRICES, data="part.csv")
    assert code == 2
    assert "of the router's frozen test are not among the labelled ones" in document["error"]["what"]


def test_a_changed_file_is_no_router(line: Line) -> None:
    head = line.directory / "router" / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-4] + b"\0\0\0\1")
    code, document = line.release("router", *PRICES)
    assert code == 2
    assert document["error"]["where"].endswith("head.safetensors")
    assert not (line.directory / ".relgate").exists()


def test_labels_must_come_from_somewhere(line: Line) -> None:
    code, document = line.release("router", data="")
    assert code == 2
    assert "--data" in document["error"]["do"]


def test_an_incumbent_that_is_none_is_named(line: Line) -> None:
    code, document = line.release("router", *PRICES, "--incumbent", str(line.directory / "nothing"))
    assert code == 2
    assert document["error"]["where"].endswith("nothing")
