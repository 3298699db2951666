"""``relgate judge`` through the command line, on files as people have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from tests.support.shared_data import DATA, needs_data

Capture = pytest.CaptureFixture[str]
ESTIMATE = {"value", "low", "high", "confidence", "method", "n"}


def asked(capsys: Capture, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """The JSON that a question about a judge is answered with."""
    assert run(["judge", *map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    document: dict[str, Any] = json.loads(captured.out)
    return document


def labels(tmp_path: Path, pattern: dict[tuple[str, str], int], header: str = "human,judge") -> Path:
    """A file with so many rows of each (human, judge)."""
    path = tmp_path / "labels.csv"
    rows = [f"{human},{judge}" for (human, judge), count in pattern.items() for _ in range(count)]
    path.write_text("\n".join(["id," + header, *(f"{i},{row}" for i, row in enumerate(rows))]) + "\n")
    return path


GOOD = {("1", "1"): 45, ("1", "0"): 5, ("0", "0"): 47, ("0", "1"): 3}


def test_calibrate_names_its_numbers(tmp_path: Path, capsys: Capture) -> None:
    found = asked(capsys, "calibrate", labels(tmp_path, GOOD))
    assert found["trusted"] is True
    assert found["reason"] is None
    for name in ("kappa", "agreement", "sensitivity", "specificity", "human_rate", "judge_rate", "corrected_rate"):
        assert found[name].keys() >= ESTIMATE, name
    assert found["kappa"]["value"] == pytest.approx(0.84)
    assert found["sensitivity"]["value"] == pytest.approx(0.9)
    assert found["specificity"]["value"] == pytest.approx(0.94)
    assert (found["unparsed"], found["labelled"], found["rows"]) == (0, 100, 100)
    assert found["confusion"] == {
        "true_positives": 45,
        "false_negatives": 5,
        "unparsed_positives": 0,
        "true_negatives": 47,
        "false_positives": 3,
        "unparsed_negatives": 0,
    }


def test_a_kappa_that_is_too_low_is_not_trusted(tmp_path: Path, capsys: Capture) -> None:
    path = labels(tmp_path, GOOD)
    assert asked(capsys, "calibrate", path, "--min-kappa", "0.84")["trusted"] is True
    found = asked(capsys, "calibrate", path, "--min-kappa", "0.85", code=3)
    assert found["trusted"] is False
    assert "is below 0.85" in found["reason"]


def test_a_judge_too_poor_to_correct_is_not_trusted(tmp_path: Path, capsys: Capture) -> None:
    poor = {("1", "1"): 55, ("1", "0"): 45, ("0", "0"): 50, ("0", "1"): 50}
    found = asked(capsys, "calibrate", labels(tmp_path, poor), code=3)
    assert found["trusted"] is False
    assert "too poor to correct" in found["reason"]
    assert found["labels_needed"] is None


def test_too_few_labels_say_how_many_it_takes(tmp_path: Path, capsys: Capture) -> None:
    few = {("1", "1"): 14, ("0", "0"): 16}
    found = asked(capsys, "calibrate", labels(tmp_path, few), code=3)
    assert found["labels_needed"] == 50
    assert "30 labelled answers, need at least 50" in found["reason"]
    assert asked(capsys, "calibrate", labels(tmp_path, few), "--min-labels", "30")["trusted"] is True


def test_unparsed_verdicts_are_counted_and_disagree(tmp_path: Path, capsys: Capture) -> None:
    pattern = {**GOOD, ("1", ""): 10, ("0", "as an AI I cannot"): 10}
    found = asked(capsys, "calibrate", labels(tmp_path, pattern))
    assert found["unparsed"] == 20
    assert found["labelled"] == 120
    assert found["agreement"]["value"] == pytest.approx(92 / 120)
    assert found["sensitivity"]["value"] == pytest.approx(45 / 60)
    assert found["specificity"]["value"] == pytest.approx(47 / 60)
    assert any("as an AI I cannot" in note for note in found["notes"])


def test_a_flipped_judge_is_called_out(tmp_path: Path, capsys: Capture) -> None:
    flipped = {(human, "10"[int(judge)]): count for (human, judge), count in GOOD.items()}
    found = asked(capsys, "calibrate", labels(tmp_path, flipped), code=3)
    assert found["polarity_flipped"] is True
    assert "polarity flipped" in found["reason"]


def test_labels_are_corrected_where_nobody_looked(tmp_path: Path, capsys: Capture) -> None:
    unlabelled = {**GOOD, ("", "1"): 900, ("", "0"): 600}
    found = asked(capsys, "calibrate", labels(tmp_path, unlabelled))
    assert (found["rows"], found["labelled"]) == (1600, 100)
    width = {name: found[name]["high"] - found[name]["low"] for name in ("human_rate", "corrected_rate")}
    assert width["corrected_rate"] < 0.75 * width["human_rate"]
    assert found["corrected_rate"]["method"] == "ppi"
    assert found["rogan_gladen_rate"]["low"] < found["corrected_rate"]["value"] < found["rogan_gladen_rate"]["high"]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("human,judge\n1,1\n2,1\n", [], "name them with --positive"),
        ("human,judge\n1,1\n2,1\n", ["--positive", "1", "--negative", "0"], "labels.csv:3: human: '2' is neither"),
        ("human,verdict\n1,1\n", [], "map one with --column judge=COLUMN"),
        ("human,judge\n1,1\n", ["--column", "jugde=judge"], "did you mean 'judge'"),
        ("human,judge\n1,1\n", ["--where", "model=x"], "there is no column 'model'"),
        ("human,judge\n1,1\n0,0\n", ["--min-kappa", "2"], "a kappa lies between -1 and 1"),
        ("human,judge\n1,1\n0,0\n", ["--confidence", "95"], "write 95 % as 0.95"),
    ],
)
def test_bad_input_says_what_and_where(
    tmp_path: Path, capsys: Capture, text: str, arguments: list[str], message: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    assert run(["judge", "calibrate", str(path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_calibrate_for_people(tmp_path: Path, capsys: Capture) -> None:
    path = labels(tmp_path, GOOD)
    assert run(["judge", "calibrate", str(path), "--min-kappa", "0.9"]) == 3
    shown = capsys.readouterr().out
    assert "NOT TRUSTED" in shown
    assert "positive: 1; negative: 0" in shown
    assert "0.840 [" in shown
    path.write_text("id,human,judge,arm,length\n" + "".join(f"{i},{i % 2},{i % 2},[b]{i % 4},{i}\n" for i in range(80)))
    assert run(["judge", "calibrate", str(path)]) == 0
    assert "[b]3" in capsys.readouterr().out  # an arm's name is no markup


PAIRS = "id,label,first_order,swapped_order,length_1,length_2\n"


def judged(tmp_path: Path, rows: list[str]) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS + "".join(f"p{i},{row}\n" for i, row in enumerate(rows)))
    return path


def test_pairwise_names_its_numbers(tmp_path: Path, capsys: Capture) -> None:
    rows = ["1,1,1,10,30"] * 30 + ["2,2,2,20,10"] * 20 + ["1,1,2,50,10"] * 9 + ["2,1,2,10,10"] * 1 + ["1,,1,5,5"] * 2
    found = asked(capsys, "pairwise", judged(tmp_path, rows))
    assert {name: found[name] for name in ("pairs", "wins", "ties", "losses", "unscored", "unparsed")} == {
        "pairs": 62,
        "wins": 30,
        "ties": 10,
        "losses": 20,
        "unscored": 2,
        "unparsed": 2,
    }
    assert found["trusted"] is True
    estimates = [found["win_rate"], found["labels"]["kappa"], found["position"]["bias"], found["verbosity"]["excess"]]
    assert all(estimate.keys() >= ESTIMATE for estimate in estimates)
    assert found["labels"]["agreement"]["value"] == pytest.approx(50 / 62)
    assert found["labels"]["decided"]["value"] == 1.0
    assert found["position"]["turned"]["value"] == pytest.approx(10 / 60)
    assert found["position"]["first_preferred"]["value"] == 1.0


def test_pairwise_thresholds_are_not_met(tmp_path: Path, capsys: Capture) -> None:
    path = judged(tmp_path, ["1,1,1,1,2"] * 30 + ["1,1,2,1,2"] * 10 + ["2,2,2,1,2"] * 30)
    thresholds = ["--max-turned", "0.1", "--max-position-bias", "0.1", "--min-kappa", "0.9"]
    found = asked(capsys, "pairwise", path, *thresholds, code=3)
    assert len(found["reasons"]) == 3
    assert asked(capsys, "pairwise", path, "--max-turned", "0.2", "--min-kappa", "0.7")["trusted"] is True
    assert run(["judge", "pairwise", str(path), "--max-turned", "0.1"]) == 3
    assert "NOT TRUSTED" in capsys.readouterr().out


def test_pairwise_asks_whether_places_are_meant(tmp_path: Path, capsys: Capture) -> None:
    path = judged(tmp_path, ["1,1,2,1,2"] * 30 + ["2,2,1,1,2"] * 30)
    as_answers = asked(capsys, "pairwise", path)
    assert "say --swapped-names place" in as_answers["notes"][0]
    as_places = asked(capsys, "pairwise", path, "--swapped-names", "place")
    assert (as_places["wins"], as_places["losses"], as_places["notes"]) == (30, 30, [])
    assert as_places["labels"]["agreement"]["value"] == 1.0


def test_pairwise_trusts_nothing_that_was_not_measured(tmp_path: Path, capsys: Capture) -> None:
    path = judged(tmp_path, ["1,,1,1,2"] * 20)
    assert asked(capsys, "pairwise", path, code=3)["reason"] == "no pair has a verdict in both orders"
    path = judged(tmp_path, [",1,1,1,2"] * 20)
    assert asked(capsys, "pairwise", path)["trusted"] is None
    assert asked(capsys, "pairwise", path, "--max-turned", "0.1")["trusted"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-turned", "10"], "write 10 % as 0.1"),
        (["--min-kappa", "0.5", "--column", "label="], "--min-kappa needs labels"),
        (["--column", "label=nowhere"], "there is no column 'nowhere'"),
    ],
)
def test_bad_pairs_say_what_and_where(tmp_path: Path, capsys: Capture, arguments: list[str], message: str) -> None:
    path = judged(tmp_path, ["1,1,1,1,2"] * 20)
    assert run(["judge", "pairwise", str(path), *arguments]) == 2
    assert message in capsys.readouterr().err


# -- real files --------------------------------------------------------------------------------------------------------

REFUSALS = ["--positive", "2_full_refusal", "--positive", "3_partial_refusal"]


@pytest.mark.shared_data
@needs_data
def test_the_published_agreement_straight_from_the_file(capsys: Capture) -> None:
    path = DATA / "refusals_human_labelled.csv"
    columns = ["--column", "human=human_final", "--column", "arm=model"]
    judge = asked(capsys, "calibrate", path, *columns, "--column", "judge=gpt4_label", *REFUSALS)
    assert round(judge["kappa"]["value"], 3) == 0.710
    kappas = {name: round(arm["kappa"]["value"], 3) for name, arm in judge["arms"].items()}
    assert kappas == {"gpt4": 0.875, "llama2new": 0.623, "mistralguard": 0.638}
    assert {one["arm"] for one in judge["arm_differences"]} == set(kappas)
    assert any("specificity" in n or "sensitivity" in n for n in judge["notes"])
    matcher = asked(capsys, "calibrate", path, *columns, "--column", "judge=strmatch_label", *REFUSALS)
    assert round(matcher["kappa"]["value"], 3) == 0.780
    too_low = asked(
        capsys, "calibrate", path, *columns, "--column", "judge=gpt4_label", *REFUSALS, "--min-kappa", "0.8", code=3
    )
    assert too_low["trusted"] is False


@pytest.mark.shared_data
@needs_data
def test_a_keyword_matcher_is_too_poor_for_jailbreaks(capsys: Capture) -> None:
    columns = ["human=human_label", "judge=sm_liu2024autodan-keyword", "cluster=question_sha", "length=answer_chars"]
    arguments = [word for column in columns for word in ("--column", column)]
    found = asked(capsys, "calibrate", DATA / "jailbreak_human_labels.csv", *arguments, code=3)
    assert "no number of labels would help" in found["reason"]
    assert found["kappa"]["clusters"] == 80
    assert found["length_bias"]["low"] > 1
