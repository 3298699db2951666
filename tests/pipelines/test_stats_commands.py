"""``relgate stats`` through the command line, against independent references and published numbers."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from pipelines.cli.app import run

Capture = pytest.CaptureFixture[str]
KEYS = {"value", "low", "high", "confidence", "method", "n"}


def asked(capsys: Capture, arguments: str, *files: Path, code: int = 0) -> dict[str, Any]:
    """The JSON that a question is answered with; ``FILE`` in the arguments stands for the file."""
    words = [str(files[0]) if word == "FILE" else word for word in arguments.split()]
    assert run(["stats", *words, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    document: dict[str, Any] = json.loads(captured.out)
    assert document.keys() >= KEYS
    return document


def numbers(tmp_path: Path, values: Sequence[object]) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{value}\n" for value in values))
    return path


# --- interval


def test_the_one_sided_default_is_exact(capsys: Capture) -> None:
    found = asked(capsys, "interval --successes 0 --n 300 --side upper")
    assert found["high"] == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-9)
    assert round(100 * found["high"], 3) == 0.994
    assert (found["low"], found["value"], found["method"]) == (None, 0.0, "clopper-pearson")


def test_a_floor_of_90_percent_is_cleared_at_462_of_500(capsys: Capture) -> None:
    lows = [asked(capsys, f"interval --successes {k} --n 500 --side lower")["low"] for k in (461, 462)]
    highs = [asked(capsys, f"interval --successes {k} --n 500 --side upper")["high"] for k in (438, 439)]
    assert lows[0] < 0.9 <= lows[1]
    assert highs[0] < 0.9 <= highs[1]


@pytest.mark.parametrize("counts", [(0, 20), (7, 20), (20, 20), (437, 500)])
@pytest.mark.parametrize(
    ("method", "theirs"), [("wilson", "wilson"), ("clopper-pearson", "beta"), ("jeffreys", "jeffreys")]
)
def test_two_sided_intervals_agree_with_statsmodels(
    capsys: Capture, counts: tuple[int, int], method: str, theirs: str
) -> None:
    found = asked(capsys, f"interval --successes {counts[0]} --n {counts[1]} --confidence .9 --method {method}")
    low, high = proportion_confint(*counts, alpha=0.1, method=theirs)
    # Brown, Cai and DasGupta close Jeffreys' interval at 0/n and n/n; statsmodels does not.
    closed_low = 0.0 if counts[0] == 0 else low
    closed_high = 1.0 if counts[0] == counts[1] else high
    assert (found["low"], found["high"]) == pytest.approx((closed_low, closed_high), abs=1e-9)
    assert (found["method"], found["n"], found["confidence"]) == (method, counts[1], 0.9)


def test_the_two_sided_default_is_wilson(capsys: Capture) -> None:
    found = asked(capsys, "interval --successes 40 --n 50")
    assert (found["low"], found["high"]) == pytest.approx(proportion_confint(40, 50, method="wilson"), abs=1e-12)
    assert found["method"] == "wilson"


def test_one_sentence_says_what_the_numbers_mean(capsys: Capture) -> None:
    assert run(["stats", "interval", "--successes", "0", "--n", "300", "--side", "upper"]) == 0
    assert "0 of 300: with 95 % confidence the rate is at most 0.994 %." in capsys.readouterr().out


# --- paired


def score_bound(wins: int, losses: int, n: int, confidence: float) -> float:
    """Lower bound of the paired difference, with the restricted likelihood maximised numerically."""

    def excess(d: float) -> float:
        def minus_log_likelihood(q: float) -> float:
            return -float(wins * np.log(q + d) + losses * np.log(q) + (n - wins - losses) * np.log(1 - 2 * q - d))

        ends = (max(0.0, -d) + 1e-12, (1 - d) / 2 - 1e-12)
        q = optimize.minimize_scalar(minus_log_likelihood, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
        spread = math.sqrt(n * (2 * q + d - d * d))
        return float((wins - losses - n * d) / spread - stats.norm.ppf(confidence))

    return float(optimize.brentq(excess, -0.9, (wins - losses) / n - 1e-9))


def test_40_wins_and_52_losses_of_1000(capsys: Capture) -> None:
    found = asked(capsys, "paired --wins 40 --losses 52 --n 1000 --side lower")
    assert round(100 * found["low"], 2) == -2.81
    assert found["low"] == pytest.approx(score_bound(40, 52, 1000, 0.95), abs=1e-6)
    assert (found["value"], found["high"], found["method"]) == (pytest.approx(-0.012), None, "tango")
    exact = asked(capsys, "paired --wins 40 --losses 52 --n 1000 --side lower --method exact")
    assert -0.0286 < exact["low"] < found["low"] + 1e-4


def test_both_bounds_of_a_paired_difference_mirror_each_other(capsys: Capture) -> None:
    found = asked(capsys, "paired --wins 30 --losses 12 --n 200 --confidence .9")
    mirrored = asked(capsys, "paired --wins 12 --losses 30 --n 200 --confidence .9")
    assert found["low"] == pytest.approx(score_bound(30, 12, 200, 0.95), abs=1e-6)
    assert found["high"] == pytest.approx(-mirrored["low"], abs=1e-12)


def test_without_a_discordant_pair_the_interval_has_width(capsys: Capture) -> None:
    found = asked(capsys, "paired --wins 0 --losses 0 --n 100 --side lower")
    z = stats.norm.ppf(0.95)
    assert found["low"] == pytest.approx(-(z**2) / (100 + z**2))
    assert "--method exact" in found["note"]


# --- quantile


def test_p95_of_200_is_bounded_by_the_185th_and_196th(capsys: Capture, tmp_path: Path) -> None:
    shuffled = np.random.default_rng(0).permutation(200) + 1
    path = numbers(tmp_path, shuffled.tolist())
    upper = asked(capsys, "quantile FILE --q .95 --side upper", path)
    lower = asked(capsys, "quantile FILE --q .95 --side lower", path)
    assert (upper["low"], upper["high"], upper["high_rank"]) == (None, 196, 196)
    assert (lower["low"], lower["high"], lower["low_rank"]) == (185, None, 185)
    assert (upper["value"], upper["n"]) == (190, 200)


@pytest.mark.parametrize(("q", "needed"), [(0.95, 59), (0.99, 299)])
def test_too_few_for_any_bound_is_said_and_is_no_error(capsys: Capture, tmp_path: Path, q: float, needed: int) -> None:
    short = asked(capsys, f"quantile FILE --q {q} --side upper", numbers(tmp_path, range(needed - 1)))
    assert short["high"] is None
    assert f"n >= {needed}" in short["note"]
    enough = asked(capsys, f"quantile FILE --q {q} --side upper", numbers(tmp_path, range(needed)))
    assert (enough["high"], enough["note"]) == (needed - 1, None)


def test_failed_requests_count_as_infinite(capsys: Capture, tmp_path: Path) -> None:
    path = numbers(tmp_path, [*range(1, 96), *["inf"] * 5])
    found = asked(capsys, "quantile FILE --q .9", path)
    assert (found["value"], found["infinite"]) == (90, 5)
    assert found["high"] is None
    assert "infinite: high" in found["note"]
    assert run(["stats", "quantile", str(path), "--q", ".9"]) == 0
    assert "p90 is at least" in capsys.readouterr().out


def test_numbers_come_from_stdin_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    data = "".join(f"{i}\r\n" for i in range(1, 201)) + "\n\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data.encode("utf-8-sig"))))
    assert asked(capsys, "quantile - --q .95 --side upper")["high"] == 196


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"ttft_s\n0.1\n", 1, "header"),
        (b"0.1\n0.2\n\n0.3\n", 3, "blank line"),
        (b"0.1\nnan\n", 2, "not a number"),
        (b"0.1,3\n", 1, "not a number"),
        (b"1_000\n", 1, "not a number"),
        (b"1\n2\n-inf\n", 3, "infinite"),
        (b"", None, "no numbers"),
        (b"\n \n", None, "no numbers"),
        (b"\xff\xfe\x00", None, "UTF-8"),
        (None, None, "No such file"),
    ],
)
def test_bad_numbers_are_named_by_file_and_line(
    capsys: Capture, tmp_path: Path, content: bytes | None, line: int | None, message: str
) -> None:
    path = tmp_path / "numbers.txt"
    if content is not None:
        path.write_bytes(content)
    assert run(["stats", "quantile", str(path), "--q", ".95"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"relgate: {path}" + ("" if line is None else f":{line}") + ": ")
    assert message in captured.err


# --- size


def test_299_prove_less_than_one_percent(capsys: Capture) -> None:
    found = asked(capsys, "size --ceiling .01 --true-rate 0 --power .8")
    assert (found["n"], found["value"], found["textbook_n"]) == (299, 299, 268)
    assert found["achieved_power"] == 1.0
    assert 0.99**299 <= 0.05 < 0.99**298


@pytest.mark.parametrize(("floor", "truth", "power"), [(0.9, 0.94, 0.8), (0.8, 0.86, 0.9)])
def test_the_power_for_a_floor_is_the_exact_one(capsys: Capture, floor: float, truth: float, power: float) -> None:
    found = asked(capsys, f"size --floor {floor} --true-rate {truth} --power {power} --alpha .05")

    def exact(n: int) -> float:
        counts = np.arange(n + 1)
        passes = stats.binom.sf(counts - 1, n, floor) <= 0.05
        return float(stats.binom.pmf(counts, n, truth)[passes].sum())

    assert found["achieved_power"] == pytest.approx(exact(found["n"]), abs=1e-9)
    assert exact(found["n"] - 1) < power <= min(exact(n) for n in range(found["n"], found["n"] + 60))
    assert abs(found["textbook_n"] / found["n"] - 1) < 0.2


def test_a_width_is_sized_by_the_interval_that_will_be_used(capsys: Capture) -> None:
    found = asked(capsys, "size --rate .005 --half-width .01")
    assert found["textbook_n"] == math.ceil(stats.norm.ppf(0.975) ** 2 * 0.005 * 0.995 / 0.01**2)

    def half_width(n: int) -> float:
        low, high = proportion_confint(0.005 * n, n, method="wilson")
        return float(high - low) / 2

    assert half_width(found["n"]) <= 0.01 < half_width(found["n"] - 1)
    assert found["achieved_half_width"] == pytest.approx(half_width(found["n"]), abs=1e-9)
    assert asked(capsys, "size --rate .5 --half-width .03")["textbook_n"] == 1068


def test_a_paired_margin_reaches_its_power_in_simulation(capsys: Capture) -> None:
    found = asked(capsys, "size --margin .05 --discordance .1 --power .8")
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert found["textbook_n"] == math.ceil(z * z * 0.1 / 0.05**2)
    n = found["n"]
    tables = np.random.default_rng(1).multinomial(n, [0.05, 0.05, 0.9], size=4000)
    kinds, repeats = np.unique(tables[:, :2], axis=0, return_counts=True)
    passed = [score_bound(int(w), int(x), n, 0.95) > -0.05 for w, x in kinds]
    assert np.average(passed, weights=repeats) == pytest.approx(0.8, abs=0.03)
    assert found["achieved_power"] >= 0.8


def test_alpha_and_confidence_say_the_same(capsys: Capture) -> None:
    one = asked(capsys, "size --floor .9 --true-rate .95 --alpha .01")
    other = asked(capsys, "size --floor .9 --true-rate .95 --confidence .99")
    assert one["n"] == other["n"] > asked(capsys, "size --floor .9 --true-rate .95")["n"]
    assert (one["confidence"], other["alpha"]) == (0.99, 0.01)


# --- corrected

LABELS = "--true-positives 90 --positives-labelled 100 --true-negatives 90 --negatives-labelled 100"


def test_the_corrected_rate_is_rogan_gladens(capsys: Capture) -> None:
    found = asked(capsys, f"corrected --positives 800 --n 1000 {LABELS}")
    assert found["value"] == pytest.approx((0.8 + 0.9 - 1) / 0.8)
    wilson = proportion_confint(800, 1000, method="wilson")
    assert (found["uncorrected"]["low"], found["uncorrected"]["high"]) == pytest.approx(wilson, abs=1e-9)
    # Newcombe (1998): gaps of the two Wilson intervals, squared and added.
    low, high = proportion_confint(90, 100, method="wilson")
    assert found["sensitivity"]["low"] == pytest.approx(low, abs=1e-9)
    assert found["j"]["low"] == pytest.approx(0.8 - math.sqrt(2) * (0.9 - low), abs=1e-9)
    assert found["j"]["high"] == pytest.approx(0.8 + math.sqrt(2) * (high - 0.9), abs=1e-9)
    assert found["trusted"] is True


def test_a_perfect_judge_with_many_labels_changes_nothing(capsys: Capture) -> None:
    labels = "--true-positives 1000000 --positives-labelled 1000000 --true-negatives 1000000"
    found = asked(capsys, f"corrected --positives 700 --n 1000 {labels} --negatives-labelled 1000000")
    assert found["value"] == pytest.approx(0.7, abs=1e-5)
    # Smoothing with z^2 pseudo-answers is the interval of Agresti and Coull (1998).
    assert (found["low"], found["high"]) == pytest.approx(
        proportion_confint(700, 1000, method="agresti_coull"), abs=1e-4
    )


def test_uncertain_labels_widen_the_corrected_interval(capsys: Capture) -> None:
    few = asked(capsys, f"corrected --positives 800 --n 1000 {LABELS}")
    many = asked(capsys, f"corrected --positives 800 --n 1000 {LABELS.replace('90', '9000').replace('100', '10000')}")
    variances = [0.8 * 0.2 / 1000, (1 - 0.875) ** 2 * 0.09, 0.875**2 * 0.09]
    for found, labels in ((few, 100), (many, 10_000)):
        spread = math.sqrt(variances[0] + (variances[1] + variances[2]) / labels) / 0.8
        assert found["high"] - found["low"] == pytest.approx(2 * stats.norm.ppf(0.975) * spread, rel=0.1)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("--true-positives 50 --positives-labelled 100 --true-negatives 50 --negatives-labelled 100", "chance"),
        ("--true-positives 9 --positives-labelled 9 --true-negatives 50 --negatives-labelled 50", "too few labels"),
        ("--true-positives 0 --positives-labelled 0 --true-negatives 50 --negatives-labelled 50", "too few labels"),
        ("--true-positives 8 --positives-labelled 12 --true-negatives 6 --negatives-labelled 12", "labels of each"),
    ],
)
def test_too_poor_a_judge_is_inconclusive_with_the_reason(capsys: Capture, labels: str, reason: str) -> None:
    found = asked(capsys, f"corrected --positives 800 --n 1000 {labels}", code=3)
    assert (found["value"], found["low"], found["high"], found["trusted"]) == (None, None, None, False)
    assert reason in found["note"]
    assert found["uncorrected"]["value"] == 0.8


# --- sequence


def test_planned_looks_reproduce_published_boundaries(capsys: Capture) -> None:
    found = asked(capsys, "sequence --looks 5 --alpha .025 --spending obrien-fleming --futility none")
    # Lan-DeMets O'Brien-Fleming, five looks, one-sided .025 (Jennison and Turnbull 2000; Reboussin et al. 2000).
    assert [look["pass_z"] for look in found["looks"]] == pytest.approx(
        [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4
    )
    assert found["looks"][-1]["spent"] == pytest.approx(0.025)
    assert all(look["futility_z"] is None for look in found["looks"])


def test_a_plan_behaves_as_its_table_says(capsys: Capture) -> None:
    found = asked(capsys, "sequence --looks 4 --alpha .05 --power .9 --n 1000")
    looks, steps = found["looks"], np.random.default_rng(3).standard_normal((200_000, 4)) / 2
    # At the end of a fixed plan the planned effect has mean Z of z_alpha + z_power; information grows with inflation.
    drift = (stats.norm.ppf(0.95) + stats.norm.ppf(0.9)) * math.sqrt(found["inflation"])
    for effect in found["effects"]:
        z = np.cumsum(steps + effect["effect"] * drift / 4, axis=1) / np.sqrt([0.25, 0.5, 0.75, 1.0])
        running, passed, failed = np.ones(len(z), dtype=bool), 0, 0
        used = np.full(len(z), 1.0)
        for k, look in enumerate(looks):
            up, down = running & (z[:, k] >= look["pass_z"]), running & (z[:, k] <= look["fail_z"])
            idle = running & (np.abs(z[:, k]) <= (look["futility_z"] or 0.0)) & ~up & ~down
            passed, failed = passed + int(up.sum()), failed + int(down.sum())
            used[up | down | idle] = look["fraction"]
            running &= ~(up | down | idle)
        assert passed / len(z) == pytest.approx(effect["pass"], abs=0.004)
        assert failed / len(z) == pytest.approx(effect["fail"], abs=0.004)
        assert found["inflation"] * used.mean() == pytest.approx(effect["expected_share"], abs=0.004)
        assert effect["expected_n"] == pytest.approx(1000 * effect["expected_share"])
    assert [effect["effect"] for effect in found["effects"]] == [0, 0.5, 1, 2]
    assert found["effects"][0]["pass"] <= 0.05
    assert found["effects"][2]["pass"] == pytest.approx(0.9, abs=1e-4)
    assert found["n"] == looks[-1]["n"] == math.ceil(1000 * found["inflation"])


def test_a_limit_is_excluded_by_the_number_that_is_named(capsys: Capture, tmp_path: Path) -> None:
    outcomes = (np.random.default_rng(7).random(600) < 0.9).astype(int).tolist()
    found = asked(capsys, "sequence FILE --limit .75", numbers(tmp_path, outcomes))
    first = found["excluded_at"]
    assert found["mean_is"] == "above"
    assert 0.75 < found["low"] < found["value"] < found["high"]
    assert found["value"] == pytest.approx(np.mean(outcomes))
    assert 10 < first < 600
    before = asked(capsys, "sequence FILE --limit .75", numbers(tmp_path, outcomes[: first - 1]))
    then = asked(capsys, "sequence FILE --limit .75", numbers(tmp_path, outcomes[:first]))
    assert before["excluded_at"] is None
    assert before["low"] <= 0.75 < then["low"]
    assert then["excluded_at"] == first


def test_a_sequence_holds_while_it_is_watched(capsys: Capture, tmp_path: Path) -> None:
    draw, missed = np.random.default_rng(11), 0
    for _ in range(60):
        path = numbers(tmp_path, (draw.random(200) < 0.3).astype(int).tolist())
        found = asked(capsys, "sequence FILE --limit .3 --confidence .8 --side lower", path)
        missed += found["excluded_at"] is not None
    assert missed / 60 <= 0.2


def test_other_ranges_sides_and_methods(capsys: Capture, tmp_path: Path) -> None:
    draw = np.random.default_rng(2).uniform(-1, 1, size=400) * 0.2 - 0.5
    path = numbers(tmp_path, draw.tolist())
    betting = asked(capsys, "sequence FILE --low -1 --high 1 --side upper --limit 0", path)
    closed = asked(capsys, "sequence FILE --low -1 --high 1 --side upper --method empirical-bernstein", path)
    assert betting["low"] is None
    assert (betting["mean_is"], betting["range"]) == ("below", [-1, 1])
    assert all(np.mean(draw) < found["high"] < -0.4 for found in (betting, closed))
    assert (betting["method"], closed["method"]) == ("betting-sequence", "empirical-bernstein-sequence")


def test_numbers_without_one_mean_are_inconclusive(capsys: Capture, tmp_path: Path) -> None:
    path = numbers(tmp_path, [0] * 500 + [1] * 500)
    found = asked(capsys, "sequence FILE --limit .5", path, code=3)
    assert (found["value"], found["low"], found["high"], found["mean"]) == (None, None, None, 0.5)
    assert "drift" in found["note"]


def test_plans_and_sequences_are_shown_to_people(capsys: Capture, tmp_path: Path) -> None:
    assert run(["stats", "sequence", "--looks", "3"]) == 0
    plan = capsys.readouterr().out
    assert "nominal alpha" in plan
    assert "expected sample" in plan
    path = numbers(tmp_path, [1] * 200)
    assert run(["stats", "sequence", str(path), "--limit", ".5"]) == 0
    assert "It lies above 0.5 since number" in capsys.readouterr().out


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("interval --successes -1 --n 10", "--successes must lie between 0"),
        ("interval --successes 11 --n 10", "successes = 11 exceeds n = 10"),
        ("interval --successes 0 --n 0", "--n must lie between 1"),
        ("interval --successes nan --n 10", "--successes"),
        ("interval --successes 1 --n inf", "--n"),
        ("interval --successes 1 --n 99999999999999999999", "--n must lie between 1"),
        ("interval --successes 1 --n 10 --confidence 1", "confidence must be strictly between 0 and 1"),
        ("interval --successes 1 --n 10 --confidence 95", "write 95 % as 0.95"),
        ("interval --successes 1 --n 10 --confidence nan", "confidence must be strictly"),
        ("interval --successes 1 --n 10 --side left", "'left' is not one of"),
        ("interval --successes 1 --n 10 --method wald", "'wald' is not one of"),
        ("interval --successes 1", "--n"),
        ("paired --wins 6 --losses 5 --n 10", "wins + losses = 11 exceeds n = 10"),
        ("paired --wins -6 --losses 5 --n 10", "--wins must lie between 0"),
        ("paired --wins 1 --losses 1 --n 10 --method wald", "'wald' is not one of"),
        ("quantile FILE --q 95", "--q must lie between"),
        ("quantile FILE --q nan", "--q must lie between"),
        ("quantile FILE", "--q"),
        ("size", "nothing to be sized"),
        ("size --rate .5", "nothing to be sized"),
        ("size --floor .9 --ceiling .1 --true-rate .5", "--floor and --ceiling are different questions"),
        ("size --half-width .1 --margin .1 --rate .5 --discordance .1", "--half-width and --margin are different"),
        ("size --floor .9 --rate .95", "--rate cannot be combined with --floor"),
        ("size --rate .5 --half-width .1 --power .8", "--power cannot be combined with --half-width"),
        ("size --floor .9", "--floor needs --true-rate"),
        ("size --half-width .1", "--half-width needs --rate"),
        ("size --margin .1", "--margin needs --discordance"),
        ("size --floor .9 --true-rate .9", "passing side"),
        ("size --ceiling .01 --true-rate .02", "passing side"),
        ("size --floor 1.5 --true-rate .9", "--floor must lie between"),
        ("size --floor .9 --true-rate .95 --alpha .05 --confidence .95", "say the same thing"),
        ("size --floor .9 --true-rate .95 --power 1", "--power must lie between"),
        ("size --floor .5 --true-rate .95 --alpha 0", "alpha must lie between"),
        ("size --rate nan --half-width .1", "rate must lie in [0, 1]"),
        ("size --rate .5 --half-width 0", "half_width must be strictly between 0 and 1"),
        ("size --margin .1 --discordance .1 --true-difference -.1", "cannot be proved"),
        ("size --margin .1 --discordance .1 --true-difference .2", "cannot be below the true difference"),
        (f"corrected --positives 11 --n 10 {LABELS}", "positives = 11 exceeds n = 10"),
        (f"corrected --positives 1 --n 0 {LABELS}", "--n must lie between 1"),
        (f"corrected --positives 1 --n 10 {LABELS.replace('90', '101')}", "true_positives = 101 exceeds"),
        (f"corrected --positives 1 --n 10 {LABELS.replace('90', '-1')}", "--true-positives must lie between 0"),
        ("sequence", "neither looks to plan nor numbers"),
        ("sequence FILE --looks 3", "FILE cannot be combined with --looks"),
        ("sequence FILE --alpha .05", "--alpha cannot be combined with FILE"),
        ("sequence --looks 3 --confidence .9", "--confidence cannot be combined with --looks"),
        ("sequence --looks 0", "--looks must lie between 1"),
        ("sequence --looks 3 --alpha .7", "--alpha must lie"),
        ("sequence --looks 3 --power .01", "--power must lie"),
        ("sequence --looks 3 --spending fast", "'fast' is not one of"),
        ("sequence FILE", "FILE:2: 2 lies outside [0, 1]"),
        ("sequence FILE --high 30 --limit 31", "--limit 31 lies outside [0, 30]"),
        ("sequence FILE --low 3 --high 2", "must be finite and not empty"),
        ("sequence FILE --high inf", "must be finite and not empty"),
        ("sequence FILE --high 30 --confidence 0", "confidence must be strictly"),
    ],
)
def test_bad_input_is_one_clear_error(capsys: Capture, tmp_path: Path, arguments: str, message: str) -> None:
    path = numbers(tmp_path, range(1, 21))
    words = ["stats", *(str(path) if word == "FILE" else word for word in arguments.split())]
    expected = message.replace("FILE:", f"{path}:")
    assert run(words) == 2
    plain = capsys.readouterr()
    assert plain.out == ""
    assert expected in plain.err
    assert plain.err.count("relgate: ") == 1
    assert run([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["what"]
    assert error["do"]


@pytest.mark.parametrize("name", ["interval", "size", "paired", "quantile", "corrected", "sequence"])
def test_help_describes_every_question(capsys: Capture, name: str) -> None:
    assert run(["stats", name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_the_default_method_is_said_in_the_help(capsys: Capture) -> None:
    assert run(["stats", "interval", "--help"]) == 0
    told = capsys.readouterr().out
    assert "clopper-pearson" in told
    assert "wilson" in told
