"""``relgate router train`` and ``eval`` through the command line, on small files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from router_training import Router
from router_training.router_files import ENCODER, HEAD, MANIFEST, SPLITS
from tests.support.routing_file import Row, labelled_rows, write_rows

Capture = pytest.CaptureFixture[str]
ROWS = labelled_rows(320)
ESTIMATE = {"value", "low", "high", "confidence", "method", "n"}
BASELINES = {"random", "always_small", "always_flagship", "length", "knn", "logistic", "oracle"}


@dataclass(frozen=True)
class Trained:
    """A router that was trained through the command line."""

    directory: Path
    data: Path
    cache: Path
    document: dict[str, Any]


def relgate(capsys: Capture, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """What a router command prints with ``--json``."""
    capsys.readouterr()
    found = run(["router", *map(str, arguments), "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found == code, document
    return document


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = write_rows(folder / "data.csv", ROWS)
    command = [sys.executable, "-m", "pipelines.cli", "router", "train", "--data", str(data), "--max-loss", "0.1"]
    command += ["--out", str(folder / "router"), "--cache", str(folder / "cache"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Trained(folder / "router", data, folder / "cache", json.loads(done.stdout))


def evaluated(capsys: Capture, trained: Trained, data: Path, *options: str | Path, code: int = 0) -> dict[str, Any]:
    where = ("--data", data, "--cache", trained.cache)
    return relgate(capsys, "eval", trained.directory, *where, *options, code=code)


def train(capsys: Capture, tmp_path: Path, rows: list[Row], *options: str | Path, code: int = 0) -> dict[str, Any]:
    data = write_rows(tmp_path / "data.csv", rows)
    where = ("--out", tmp_path / "router", "--cache", tmp_path / "cache", "--project", tmp_path)
    return relgate(capsys, "train", "--data", data, *where, *options, code=code)


def test_training_tells_what_it_made(trained: Trained) -> None:
    document = trained.document
    assert document["always_flagship"] is False
    assert document["reason"] is None
    point = document["operating_point"]
    assert 0 < point["threshold"] <= point["band_high"]
    assert point["loss_high"] <= point["max_loss"] == 0.1
    assert document["split"] == {"training": 160, "calibration": 80, "test": 80, "left_out": 0}
    assert document["data"]["prompts"] == document["data"]["groups"] == 320
    assert document["digest"] == Router.load(trained.directory).digest
    assert {trial["head"] for trial in document["head"]["choice"]["tried"]} >= {"ridge", "logistic", "mlp", "knn"}
    assert sorted(path.name for path in trained.directory.parent.iterdir()) == ["cache", "data.csv", "router"]


def test_what_it_learnt_is_what_routes(trained: Trained) -> None:
    router = Router.load(trained.directory)
    new = labelled_rows(200, seed=9)
    routes = router.route([row["prompt"] for row in new])
    small = [row["family"] for row, route in zip(new, routes, strict=True) if route.model == "small"]
    flagship = [row["family"] for row, route in zip(new, routes, strict=True) if route.reason in ("hard", "band")]
    assert len(small) > 80
    assert small.count("cooking") > 0.85 * len(small)
    assert flagship.count("mathematics") > 0.85 * len(flagship)
    assert router.route("Что такое интеграл?")[0].reason == "unlike training"


def test_the_same_labels_make_the_same_router(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    again = train(capsys, tmp_path, ROWS, "--max-loss", "0.1")
    assert again["digest"] == trained.document["digest"]
    assert (tmp_path / "router" / HEAD).read_bytes() == (trained.directory / HEAD).read_bytes()


def test_only_the_frozen_test_is_evaluated(trained: Trained, capsys: Capture) -> None:
    found = evaluated(capsys, trained, trained.data)
    assert found["n"] == 80
    assert found["prompts"] == "the router's frozen test"
    assert "240 prompts" not in "".join(found["notes"])
    for name in ("apgr", "cpt50", "cpt80", "apgr_fixed"):
        assert found[name].keys() >= ESTIMATE, name
    assert found["apgr"]["low"] > 0.6
    assert set(found["baselines"]) == BASELINES
    assert found["baselines"]["length"]["apgr_gain"]["low"] > 0
    assert found["baselines"]["oracle"]["apgr"]["value"] >= found["apgr"]["value"]
    assert {cell["name"] for cell in found["families"]} == {"mathematics", "cooking"}


def test_prompts_it_never_saw_are_all_evaluated(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    found = evaluated(capsys, trained, write_rows(tmp_path / "new.csv", labelled_rows(60, seed=3)))
    assert (found["n"], found["prompts"]) == (60, "every prompt of the file")
    assert set(found["baselines"]) == BASELINES


def test_prompts_it_was_trained_on_are_never_evaluated(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    placed = json.loads((trained.directory / SPLITS).read_text())["splits"]
    seen = {one["id"] for one in (*placed["training"], *placed["calibration"])}
    learnt = [row for row in ROWS if row["id"] in seen]
    found = evaluated(capsys, trained, write_rows(tmp_path / "seen.csv", learnt), code=2)
    assert "was trained on 240 of these 240 prompts" in found["error"]["what"]
    mixed = [*learnt, *labelled_rows(60, seed=3), {**learnt[0], "id": "copy", "prompt": learnt[0]["prompt"].upper()}]
    found = evaluated(capsys, trained, write_rows(tmp_path / "mixed.csv", mixed))
    assert found["n"] == 60
    assert "241 prompts that the router was trained on, or near-duplicates" in found["notes"][0]


def test_an_evaluation_is_written_as_a_page_and_a_document(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    found = evaluated(capsys, trained, trained.data, "-o", tmp_path / "report")
    page = Path(found["report"]).read_text()
    assert "<svg" in page or "data:image/svg" in page
    document = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert document["apgr"] == found["apgr"]
    assert document["router"] == trained.document["digest"]


def test_people_are_told_the_same(trained: Trained, capsys: Capture) -> None:
    arguments = ["router", "eval", str(trained.directory), "--data", str(trained.data), "--cache", str(trained.cache)]
    assert run(arguments) == 0
    told = capsys.readouterr().out
    assert "the router's frozen test: 80 prompts in 80 groups" in told
    for text in ("quality given up", "APGR", "CPT(50)", "length", "oracle", "mathematics"):
        assert text in told


def changed(row: int, **values: Any) -> Callable[[], list[Row]]:
    return lambda: [{**one, **(values if number == row else {})} for number, one in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("rows", "what", "where"),
    [
        (changed(7, small_score="nan"), "small_score: 'nan' is not a finite number", "data.csv:9"),
        (changed(7, small_score=""), "small_score is empty", "data.csv:9"),
        (changed(7, flagship_score="7"), "flagship_score: '7' is outside [0, 1]", "data.csv:9"),
        (changed(7, prompt="  "), "prompt is empty", "data.csv:9"),
        (lambda: ROWS[:49], "49 labelled prompts, at least 50 are needed", "data.csv"),
        (lambda: [{**row, "prompt": "the same question"} for row in ROWS], "no prompt is left", ""),
        (lambda: [{"prompt": row["prompt"], "score": 1} for row in ROWS], "there is no column 'small_score'", ""),
    ],
)
def test_bad_labels_are_named_and_nothing_is_written(
    rows: Callable[[], list[Row]], what: str, where: str, tmp_path: Path, capsys: Capture
) -> None:
    found = train(capsys, tmp_path, rows(), code=2)
    assert what in found["error"]["what"]
    assert (found["error"]["where"] or "").endswith(where)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--max-loss", "0"), "--max-loss must lie strictly between 0 and 1"),
        (("--confidence", "1"), "--confidence must lie strictly between 0 and 1"),
        (("--layers", "7"), "Invalid value for '--layers'"),
        (("--max-tokens", "4"), "Invalid value for '--max-tokens'"),
        (("--refit", "nowhere"), "there is no such folder"),
        (("--small", "small", "--flagship", "flagship"), "there is no project here"),
    ],
)
def test_bad_options_are_named_before_anything_is_done(
    options: tuple[str, ...], what: str, tmp_path: Path, capsys: Capture
) -> None:
    assert what in train(capsys, tmp_path, ROWS, *options, code=2)["error"]["what"]
    assert not (tmp_path / "router").exists()


def test_no_labels_at_all(tmp_path: Path, capsys: Capture) -> None:
    found = relgate(capsys, "train", "--out", tmp_path / "router", "--project", tmp_path, code=2)
    assert found["error"]["what"] == "there are no labelled prompts"


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (lambda row: (row["flagship_score"], row["small_score"]), "the flagship scores no better than the small model"),
        (lambda row: (row["flagship_score"], row["flagship_score"]), "the flagship scores no better"),
        (lambda _row: (0, 1), "all of 240 prompts are hard"),
        (lambda _row: (0.9, 1), "none of 240 prompts is hard"),
    ],
)
def test_where_nothing_can_be_learnt_everything_goes_to_the_flagship(
    scores: Callable[[Row], tuple[float, float]], reason: str, tmp_path: Path, capsys: Capture
) -> None:
    rows = [{**row, "small_score": scores(row)[0], "flagship_score": scores(row)[1]} for row in ROWS]
    found = train(capsys, tmp_path, rows)
    assert found["always_flagship"] is True
    assert reason in found["reason"]
    routes = Router.load(tmp_path / "router").route(["onion butter flour", "integral"])
    assert {(route.model, route.reason) for route in routes} == {("flagship", "always flagship")}
    assert ENCODER not in {path.name for path in (tmp_path / "router").iterdir()}
    data = ("--data", tmp_path / "data.csv", "--cache", tmp_path / "cache")
    told = relgate(capsys, "eval", tmp_path / "router", *data)
    assert told["n"] == 80
    assert told["operation"]["flagship_share"]["value"] == 1.0
    assert any(reason in note for note in told["notes"])


def test_too_few_prompts_for_the_bound_are_sent_to_the_flagship(tmp_path: Path, capsys: Capture) -> None:
    found = train(capsys, tmp_path, ROWS[:80])
    assert found["always_flagship"] is True
    assert "cannot prove a loss of at most 0.02" in found["reason"]
    assert Router.load(tmp_path / "router").route("onion")[0].reason == "always flagship"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "router").mkdir()
    (tmp_path / "router" / "notes.txt").write_text("mine")
    found = train(capsys, tmp_path, ROWS, code=2)
    assert "something else than a router" in found["error"]["what"]
    assert [path.name for path in (tmp_path / "router").iterdir()] == ["notes.txt"]


def test_a_killed_training_leaves_nothing_half_written(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "router"
    shutil.copytree(trained.directory, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    data = write_rows(tmp_path / "data.csv", labelled_rows(320, seed=1))
    command = [sys.executable, "-m", "pipelines.cli", "router", "train", "--data", str(data), "--out", str(out)]
    command += ["--cache", str(tmp_path / "cache"), "--project", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "embedding" in line:
                break
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "data.csv", "router"]
    assert (tmp_path / "cache" / "embeddings.sqlite").stat().st_size > 240 * 384 * 4


def refit(capsys: Capture, trained: Trained, tmp_path: Path, *options: str | Path, code: int = 0) -> dict[str, Any]:
    where = ("--out", tmp_path / "second", "--cache", trained.cache, "--project", tmp_path)
    return relgate(capsys, "train", "--refit", trained.directory, *where, *options, code=code)


def test_a_refit_keeps_encoder_and_test_and_learns_from_more(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    more = [{**row, "prompt": row["prompt"].replace("?", " today?")} for row in labelled_rows(120, seed=5)]
    copy = next(row for row in ROWS if row["id"] in frozen_ids(trained.directory))
    more.append({**copy, "id": "copy", "prompt": copy["prompt"].upper()})
    extra = write_rows(tmp_path / "more.csv", more)
    picks = [{**row, "prompt": row["prompt"].replace("?", " tonight, please?")} for row in labelled_rows(30, seed=6)]
    picked = tmp_path / "picked.jsonl"
    picked.write_text("".join(json.dumps({**row, "teach_only": True}) + "\n" for row in picks))
    found = refit(capsys, trained, tmp_path, "--data", trained.data, "--data", extra, "--data", picked)
    assert found["split"] == {"training": 270, "calibration": 120, "test": 80, "left_out": 1}
    assert "30 prompts that were picked (teach_only) teach the head: calibration does without them" in found["notes"]
    assert any(note.startswith("1 new prompts are near-duplicates") for note in found["notes"])
    first, second = (Router.load(place).manifest for place in (trained.directory, tmp_path / "second"))
    assert second.test_data == first.test_data
    assert second.files[ENCODER] == first.files[ENCODER]
    assert second.files[HEAD] != first.files[HEAD]
    assert second.operating_point.max_loss == first.operating_point.max_loss == 0.1
    assert frozen_ids(tmp_path / "second") == frozen_ids(trained.directory)
    where = ("--data", trained.data, "--cache", trained.cache)
    assert relgate(capsys, "eval", tmp_path / "second", *where)["n"] == 80


def frozen_ids(directory: Path) -> set[str]:
    return {one["id"] for one in json.loads((directory / SPLITS).read_text())["splits"]["test"]}


def test_a_refit_needs_the_frozen_test(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    more = write_rows(tmp_path / "more.csv", labelled_rows(60, seed=5))
    found = refit(capsys, trained, tmp_path, "--data", more, code=2)
    assert "80 of the 80 prompts of the frozen test are missing" in found["error"]["what"]
    assert not (tmp_path / "second").exists()


def test_a_refit_cannot_change_the_encoder(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    found = refit(capsys, trained, tmp_path, "--data", trained.data, "--layers", "1", code=2)
    assert "--layers cannot be changed by --refit" in found["error"]["what"]


def test_a_tampered_head_is_never_evaluated(trained: Trained, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(trained.directory, tmp_path / "router")
    head = tmp_path / "router" / HEAD
    head.write_bytes(head.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    found = relgate(capsys, "eval", tmp_path / "router", "--data", trained.data, code=2)
    assert "not the file that the manifest names" in found["error"]["what"]
    assert found["error"]["where"].endswith(HEAD)
    (tmp_path / "router" / MANIFEST).unlink()
    assert (
        "no router here"
        in relgate(capsys, "eval", tmp_path / "router", "--data", trained.data, code=2)["error"]["what"]
    )
