"""How often the gate is wrong, by the simulations of `benchmarks.error_rates` at reduced size.

A simulated rate may exceed its limit by chance: it must not be so high that a true rate at the limit would give as many
errors less than once in a thousand tests. Exact rates (summed over all outcomes) have no such allowance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.at_the_limit import at_the_limit, in_clusters, twenty_peeks
from benchmarks.error_rates_report import ALPHA, KnownOrder, Rates
from benchmarks.identical_models import identical_models
from benchmarks.judged_at_the_limit import judged_at_the_limit
from benchmarks.real_outcomes import MARGIN, NEAR, ORDERED, SINGLE, RealOutcomes, data_file
from benchmarks.sequential_runs import EFFECTS, looked_at_ten_times, saved_by_design, saved_by_runs
from benchmarks.simulated_evidence import Setting
from golden_sets.errors import InputError

pytestmark = pytest.mark.slow

CLUSTERED = in_clusters()
JUDGED = judged_at_the_limit()


@pytest.fixture
def real(tmp_path: Path) -> RealOutcomes:
    try:
        data_file()
    except InputError as error:
        pytest.skip(str(error))
    return RealOutcomes(tmp_path)


def both_kept(found: Rates) -> bool:
    """Neither promoted nor blocked too often: exactly at a limit, both are errors."""
    return found.kept and replace(found, error="block").kept


class TestIdenticalModels:
    def test_are_not_blocked_by_a_policy_of_twenty_cells(self) -> None:
        slack, roomy, by_rate, by_points, tight = identical_models(10)
        assert slack.kept
        assert roomy.kept
        assert tight.kept
        assert slack.promote > 0.5
        assert roomy.promote > 0.9
        # What peers do instead: block an identical model about every other time, or nearly always.
        assert by_rate.block > 0.25
        assert by_points.block > 0.9
        assert roomy.flips is not None
        assert by_rate.flips is not None
        assert roomy.flips < by_rate.flips


class TestAtTheLimit:
    def test_of_independent_prompts_at_most_alpha_is_promoted_or_blocked(self) -> None:
        found = list(at_the_limit(quick=True))
        assert len(found) == 5
        for one in found:
            assert one.releases == 0
            assert one.promote <= ALPHA + 1e-9
            assert both_kept(one)
        assert max(one.promote for one in found) > ALPHA / 2

    def test_twenty_unplanned_peeks_would_promote_far_more(self) -> None:
        assert twenty_peeks().promote == pytest.approx(0.175, abs=0.005)

    @pytest.mark.parametrize("setting", CLUSTERED, ids=[s.told for s in CLUSTERED])
    def test_of_clusters_and_repeats_at_most_alpha_is_promoted(self, setting: Setting) -> None:
        assert both_kept(setting.rates(100))

    @pytest.mark.parametrize("setting", JUDGED[:-1], ids=[s.told for s in JUDGED[:-1]])
    def test_of_judged_candidates_at_most_alpha_is_promoted(self, setting: Setting) -> None:
        assert both_kept(setting.rates(200))

    def test_a_judge_taken_at_its_word_would_promote_more(self) -> None:
        assert JUDGED[-1].rates(300).promote > 1.5 * ALPHA

    @pytest.mark.parametrize("index", range(4))
    def test_over_ten_looks_at_most_alpha_is_promoted(self, index: int) -> None:
        assert both_kept(looked_at_ten_times()[index].rates(30))


class TestSaving:
    def test_by_design(self) -> None:
        found = {s.effect: s for s in saved_by_design() if (s.check, s.power) == ("by theory", 0.9)}
        assert found[1.0].mean <= 0.7
        for effect in (-2.0, 2.0):
            assert found[effect].mean <= 0.4
        assert found[0.0].mean <= 1.1
        for effect in EFFECTS:
            assert found[effect].maximum <= 1.15
            assert found[effect].mean <= 1.15
        assert found[1.0].promote == pytest.approx(0.9, abs=0.001)

    def test_in_runs_of_the_course(self) -> None:
        effects = (-2.0, 0.0, 1.0, 2.0)
        runs = saved_by_runs(20, effects=effects, giving_up=(None,))
        found = {(s.check.split()[0], s.effect): s for s in runs}
        for check in ("floor", "margin"):
            # Monte-Carlo error of the margin's mean of 20: about 0.06.
            assert found[check, 1.0].mean <= 0.75
            assert found[check, 2.0].mean <= 0.45
            assert found[check, -2.0].mean <= 0.6
            assert found[check, 0.0].mean <= 1.1
            assert found[check, 1.0].promote >= 0.75
            assert (found[check, -2.0].block or 0.0) >= 0.9
            assert found[check, 0.0].promote <= 0.2
            assert found[check, 1.0].maximum <= 1.15


@pytest.mark.shared_data
class TestRealOutcomes:
    """GSM8K outcomes of real models, imported and gated by the commands."""

    def test_a_half_of_one_model_is_not_far_from_the_whole(self, real: RealOutcomes) -> None:
        for model in SINGLE[:2]:
            for again in (False, True):
                verdicts = Counter(real.halves(model, 50, again=again))
                assert kept(verdicts["promote"], 50)
                assert kept(verdicts["block"], 50)

    def test_a_point_rule_calls_one_half_worse_about_every_other_time(self, real: RealOutcomes) -> None:
        assert 0.35 < Counter(real.halves_as_rivals(SINGLE[0], 200))["block"] / 200 < 0.65

    def test_models_made_equal_are_not_blocked(self, real: RealOutcomes) -> None:
        verdicts = Counter(real.exchanged(NEAR[0], 60))
        assert kept(verdicts["block"], 60)
        assert verdicts["promote"] > 30

    def test_verdicts_go_in_the_right_direction(self, real: RealOutcomes) -> None:
        for pair, n in ((ORDERED[0], 1319), (ORDERED[-1], 500)):
            verdicts, difference = Counter(real.redrawn(pair, n, 40)), real.difference(pair)
            found = KnownOrder(difference, MARGIN, n, 40, verdicts["promote"] / 40, verdicts["block"] / 40)
            assert found.kept
            assert (found.block if difference < -MARGIN else found.promote) > 0.5

    def test_a_model_exactly_at_the_margin_is_promoted_at_most_at_alpha(self, real: RealOutcomes) -> None:
        pair = ORDERED[0]
        verdicts = Counter(real.redrawn(pair, 500, 60, margin=-real.difference(pair)))
        assert kept(verdicts["promote"], 60)

    def test_the_file_as_it_is_through_processes_of_their_own(self, real: RealOutcomes) -> None:
        near, far = real.whole(NEAR[0]), real.whole(ORDERED[0])
        assert near["verdict"] == "promote"
        assert near["checks"][0]["estimate"]["value"] == pytest.approx(real.difference(NEAR[0]))
        assert far["verdict"] == "block"


def kept(errors: int, releases: int) -> bool:
    return Rates("", "", releases, errors / releases, 0.0, "promote").kept
