"""An evaluation on prompts of known difficulty: every number is what it claims to be, and the page tells it safely."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from golden_sets.errors import InputError
from router_training.calibrating import ece
from router_training.deciding import Decisions, Scores, decide
from router_training.evaluating import evaluate_router, frontier_points, served_scores
from router_training.evaluation import RouterEvaluation
from router_training.frontier import apgr, apgr_fixed
from router_training.operating import choose_operating_point, literal_band
from router_training.pairs import Pairs
from router_training.plots import frontier_figure, frontier_words, reliability_figure, reliability_words
from router_training.records import OperatingPoint
from router_training.report import render_page, write_report

Floats = npt.NDArray[np.float64]
ATTACK = "</pre><script>alert(1)</script> \u202e& <b>"


def labelled(n: int, seed: int = 0, *, priced: bool = True) -> tuple[Pairs, Floats]:
    """Prompts with their true P(hard): longer ones are harder, and some families are, too."""
    rng = np.random.default_rng(seed)
    families = tuple(rng.choice(["algebra", "history", f"odd {ATTACK}"], n).tolist())
    words = rng.integers(1, 120, n)
    p = np.clip(0.03 + words / 600 + 0.3 * np.array([f == "algebra" for f in families]) * rng.random(n), 0, 0.95)
    hard = rng.random(n) < p
    worse = ~hard & (rng.random(n) < 0.04)
    both = ~hard & ~worse & (rng.random(n) < 0.7)
    pairs = Pairs(
        prompts=tuple(f"{ATTACK} {row} " + "word " * count for row, count in enumerate(words)),
        ids=tuple(f"prompt-{row}" for row in range(n)),
        small=(both | worse).astype(float),
        flagship=(both | hard).astype(float),
        groups=np.asarray(np.arange(n) // 2, dtype=np.int64),
        families=families,
        small_usd=words.astype(np.float64) * 1e-6 if priced else None,
        flagship_usd=words.astype(np.float64) * 2e-5 if priced else None,
    )
    return pairs, p


def decided(p: Floats, point: OperatingPoint, unlike: npt.NDArray[np.bool_] | None = None) -> Decisions:
    none = np.zeros(p.size)
    return decide(point, Scores(p, none, p, p), none, np.zeros(p.size, dtype=np.bool_) if unlike is None else unlike)


@pytest.fixture(scope="module")
def evaluated() -> tuple[RouterEvaluation, Pairs, Decisions, Floats]:
    calibration, known = labelled(1500, 1)
    point = choose_operating_point(known, calibration.delta, calibration.groups)
    pairs, p = labelled(1200)
    decisions = decided(p, point, np.arange(1200) % 100 == 0)
    baselines = {"logistic": p + np.random.default_rng(0).normal(0, 0.05, p.size)}
    evaluation = evaluate_router(pairs, decisions, point, calibration_p_hard=known, fitted_baselines=baselines)
    return evaluation, pairs, decisions, known


def test_the_metrics_are_those_of_the_router_as_it_runs(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, pairs, decisions, known = evaluated
    scores = served_scores(decisions)
    assert (scores[decisions.unlike] > scores[~decisions.unlike].max()).all()
    assert evaluation.apgr.value == apgr(scores, pairs.delta)
    assert evaluation.apgr_fixed is not None
    assert evaluation.apgr_fixed.value == pytest.approx(apgr_fixed(scores, pairs.delta, known))
    assert (evaluation.n, evaluation.groups) == (1200, 600)
    assert evaluation.apgr.clusters == 600


def test_the_operating_point_is_measured_as_it_was_served(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, pairs, decisions, _ = evaluated
    flagship, done = decisions.flagship, evaluation.operation
    served = np.where(flagship, pairs.flagship, pairs.small)
    assert done.quality.value == pytest.approx(served.mean())
    assert done.loss.value == pytest.approx(pairs.flagship.mean() - served.mean())
    assert done.flagship_share.value == pytest.approx(flagship.mean())
    assert done.unlike_share.value == pytest.approx(0.01)
    gap = pairs.delta.mean()
    assert done.gap_recovered.value == pytest.approx((served.mean() - pairs.small.mean()) / gap)
    assert pairs.small_usd is not None
    assert pairs.flagship_usd is not None
    spent = np.where(flagship, pairs.flagship_usd, pairs.small_usd)
    assert done.usd is not None
    assert done.usd.value == pytest.approx(spent.mean())
    assert done.usd_ratio is not None
    assert done.usd_ratio.value == pytest.approx(spent.sum() / pairs.flagship_usd.sum())
    for estimate in (done.quality, done.loss, done.flagship_share, done.gap_recovered, done.usd_ratio):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.value is not None
        assert estimate.low < estimate.value < estimate.high
    assert done.loss_bound.low is None
    assert done.bound == ("holds" if (done.loss_bound.high or 1) <= done.max_loss else "open")


def test_every_baseline_is_in_the_same_run(evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats]) -> None:
    evaluation, pairs, _, _ = evaluated
    baselines = evaluation.baselines
    assert set(baselines) == {"random", "length", "oracle", "logistic", "always_small", "always_flagship"}
    assert [baselines[name].apgr is None for name in ("always_small", "always_flagship")] == [True, True]
    values = {name: b.apgr.value for name, b in baselines.items() if b.apgr is not None and b.apgr.value is not None}
    assert values["random"] == pytest.approx(0.5)
    assert values["length"] == pytest.approx(apgr([len(text.split()) for text in pairs.prompts], pairs.delta))
    assert evaluation.apgr.value is not None
    assert values["random"] < values["length"] < evaluation.apgr.value < values["oracle"]
    for name, value in values.items():
        gain = baselines[name].apgr_gain
        assert gain is not None
        assert gain.value == pytest.approx(evaluation.apgr.value - value)
    length = baselines["length"].apgr_gain
    assert length is not None
    assert length.low is not None
    assert length.low > 0
    assert baselines["always_flagship"].quality == evaluation.flagship_quality.model_copy(update={"metric": "quality"})


def test_calibration_is_told_beside_what_chance_alone_would_show(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, pairs, decisions, _ = evaluated
    found, p = evaluation.calibration, decisions.scores.p_hard
    assert found.ece.value == pytest.approx(ece(p, pairs.hard))
    assert 0.5 * found.ece_of_perfect < (found.ece.value or 0) < 2 * found.ece_of_perfect, "the P(hard) here are true"
    assert (found.brier.value or 1) < found.brier_of_base_rate
    assert sum(b.observed.n for b in found.bins) == 1200


def test_cells_add_up(evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats]) -> None:
    evaluation, _, _, _ = evaluated
    for cells in (evaluation.lengths, evaluation.families):
        assert sum(cell.n for cell in cells) == 1200
        lost = sum(cell.n * (cell.loss.value or 0.0) for cell in cells) / 1200
        assert lost == pytest.approx(evaluation.operation.loss.value)
    losses = [cell.loss.value or 0.0 for cell in evaluation.families]
    assert losses == sorted(losses, reverse=True)
    assert [cell.name for cell in evaluation.lengths] == ["le64", "le256"]


def test_the_frontier_runs_from_one_model_to_the_other(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, pairs, _, _ = evaluated
    first, last = evaluation.frontier[0], evaluation.frontier[-1]
    assert [first.flagship_share, last.flagship_share] == [0.0, 1.0]
    assert [first.quality, last.quality] == pytest.approx([pairs.small.mean(), pairs.flagship.mean()])
    assert pairs.flagship_usd is not None
    assert last.usd == pytest.approx(pairs.flagship_usd.mean())
    assert len(frontier_points(np.zeros(1200), pairs)) == 2, "prompts of one score are never torn apart"


def test_examples_are_prompts_that_should_have_gone_to_the_flagship(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, pairs, decisions, _ = evaluated
    places = [pairs.ids.index(example.id) for example in evaluation.examples]
    assert places
    assert not decisions.flagship[places].any()
    assert (pairs.delta[places] > 0).all()
    assert [e.p_hard for e in evaluation.examples] == sorted(e.p_hard for e in evaluation.examples)


def test_it_is_the_same_every_time_and_survives_json(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, pairs, decisions, known = evaluated
    again = evaluate_router(pairs, decisions, evaluation.operating_point, calibration_p_hard=known)
    assert again.apgr == evaluation.apgr
    assert again.calibration == evaluation.calibration
    read = RouterEvaluation.model_validate(json.loads(json.dumps(evaluation.to_json(), allow_nan=False)))
    assert read == evaluation


def test_a_flagship_that_is_no_better_leaves_nothing_undefined_unsaid() -> None:
    pairs, p = labelled(300)
    worse = Pairs(pairs.prompts, pairs.ids, pairs.flagship, pairs.small, pairs.groups)
    point = choose_operating_point(p, worse.delta, worse.groups)
    evaluation = evaluate_router(worse, decided(p, point), point)
    assert evaluation.apgr.value is None
    assert "no better" in (evaluation.apgr.note or "")
    assert evaluation.operation.gap_recovered.value is None
    assert evaluation.operation.usd is None
    assert any("no better" in note for note in evaluation.notes)
    assert any("everything to the flagship" in note for note in evaluation.notes)
    json.dumps(evaluation.to_json(), allow_nan=False)
    assert "no better" in render_page(evaluation)


def test_decisions_about_other_prompts_are_refused() -> None:
    pairs, p = labelled(60)
    point = choose_operating_point(p, pairs.delta, pairs.groups)
    with pytest.raises(InputError, match="10 decisions for 60"):
        evaluate_router(pairs, decided(p[:10], point), point)


def test_the_literal_band_is_reported_against(evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats]) -> None:
    evaluation, pairs, decisions, _ = evaluated
    band = literal_band(decisions.scores.p_hard, pairs.delta)
    assert evaluation.literal_band.loss == band.loss
    assert evaluation.literal_band.loss > evaluation.operation.max_loss, "18 % hard prompts: .40 is far too high"


def test_the_page_holds_everything_and_runs_nothing(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats], tmp_path: Path
) -> None:
    evaluation, _, _, _ = evaluated
    page = write_report(evaluation.model_copy(update={"head": ATTACK}), tmp_path / "deep" / "report")
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>" not in text.replace('<b class="seal">', "")
    assert "\u202e" not in text
    assert "[U+202E]" in text
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("data:image/svg+xml;base64,") == 3
    for words in ("longer prompts first", "knowing the answers", "logistic", "literal band", "algebra"):
        assert words in text
    kept = json.loads((tmp_path / "deep" / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert kept["apgr"]["value"] == evaluation.apgr.value
    assert set(kept["apgr"]) >= {"value", "low", "high", "confidence", "method", "n"}


def test_figures_are_the_same_every_time_and_told_in_words(
    evaluated: tuple[RouterEvaluation, Pairs, Decisions, Floats],
) -> None:
    evaluation, _, _, _ = evaluated
    for draw in (frontier_figure, reliability_figure):
        first = draw(evaluation)
        assert first == draw(evaluation)
        assert first.startswith("<svg")
        assert "<script" not in first
    assert "USD" in frontier_figure(evaluation, "usd")
    assert f"{evaluation.apgr.value:.3f}" in frontier_words(evaluation)
    assert "expected calibration error" in reliability_words(evaluation)


def test_without_prices_there_is_no_cost_axis() -> None:
    pairs, p = labelled(400, priced=False)
    point = choose_operating_point(p, pairs.delta, pairs.groups)
    evaluation = evaluate_router(pairs, decided(p, point), point)
    assert frontier_figure(evaluation, "usd") == frontier_figure(evaluation, "share")
    assert render_page(evaluation).count("data:image/svg+xml;base64,") == 2


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_one_price_for_every_prompt_leaves_a_point_without_an_interval(threshold: float) -> None:
    """All prompts go to one model, whose answers all cost the same: a cost without spread has no interval."""
    pairs, p = labelled(400)
    pairs = replace(pairs, small_usd=np.full(400, 0.001), flagship_usd=np.full(400, 0.01))
    chosen = choose_operating_point(p, pairs.delta, pairs.groups).to_json()
    point = OperatingPoint.model_validate({**chosen, "threshold": threshold, "band_high": threshold})
    evaluation = evaluate_router(pairs, decided(p, point), point)
    assert evaluation.operation.usd is not None
    assert evaluation.operation.usd.low is None
    assert frontier_figure(evaluation, "usd").startswith("<svg")
