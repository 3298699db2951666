"""Counts of strata: the right distribution at every mark, whatever way they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evalharness.judge_error import JudgeError
from gates.simulation.drawing import draw, multinomial_path
from gates.simulation.worlds import StratumTruth

RELEASES = 40_000


def generator(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestMultinomialPath:
    @pytest.mark.parametrize("steps", [[20, 30], [300, 200], [1, 500]])
    @pytest.mark.parametrize("chances", [[0.3, 0.7], [0.1, 0.05, 0.8, 0.05]])
    def test_counts_of_a_category_are_binomial_at_every_mark(self, steps: list[int], chances: list[float]) -> None:
        paths = multinomial_path(generator(), np.array(steps), np.array(chances), RELEASES)
        assert (paths.sum(axis=0) == np.cumsum([0, *steps])[:, None]).all()
        for mark, n in enumerate(np.cumsum(steps), start=1):
            for category, chance in enumerate(chances):
                seen = np.bincount(paths[category, mark], minlength=n + 1)
                expected = stats.binom.pmf(np.arange(n + 1), n, chance) * RELEASES
                common = expected > 20
                statistic = float(np.sum((seen[common] - expected[common]) ** 2 / expected[common]))
                assert stats.chi2.sf(statistic, int(common.sum())) > 1e-5

    def test_increments_do_not_depend_on_what_came_before(self) -> None:
        paths = multinomial_path(generator(), np.array([50, 50]), np.array([0.4, 0.6]), RELEASES)
        first, second = paths[0, 1], paths[0, 2] - paths[0, 1]
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(RELEASES)

    def test_an_empty_step_adds_nothing(self) -> None:
        paths = multinomial_path(generator(), np.array([10, 0]), np.array([0.5, 0.5]), 100)
        assert (paths[:, 1] == paths[:, 2]).all()


class TestDraw:
    TRUTH = StratumTruth(0.8, 0.85, 0.75, 0.15, 0.12)

    def test_rates_and_discordances_of_every_arm(self) -> None:
        drawn = draw(
            generator(),
            self.TRUTH,
            ("candidate", "incumbent", "anchor"),
            np.array([100]),
            np.array([0]),
            None,
            RELEASES,
        )
        near = {"abs": 4 * 5 / np.sqrt(RELEASES)}
        assert drawn.events["candidate"][1].mean() == pytest.approx(80, **near)
        assert drawn.events["incumbent"][1].mean() == pytest.approx(85, **near)
        assert drawn.events["anchor"][1].mean() == pytest.approx(75, **near)
        assert drawn.wins["incumbent"][1].mean() == pytest.approx(5, **near)
        assert drawn.losses["incumbent"][1].mean() == pytest.approx(10, **near)
        assert drawn.wins["anchor"][1].mean() == pytest.approx(8.5, **near)
        assert drawn.losses["anchor"][1].mean() == pytest.approx(3.5, **near)
        assert (drawn.confirmed == drawn.events["candidate"]).all()

    def test_a_judge_errs_at_its_rates(self) -> None:
        judge = JudgeError(0.9, 0.8)
        drawn = draw(
            generator(), self.TRUTH, ("candidate", "incumbent"), np.array([60]), np.array([40]), judge, RELEASES
        )
        passes, seen, failures, refused = drawn.calibration[:, 1].mean(axis=1)
        near = {"abs": 4 * 5 / np.sqrt(RELEASES)}
        assert passes + failures == pytest.approx(80)
        assert passes == pytest.approx(40 * (0.8 + 0.85), **near)
        assert seen / passes == pytest.approx(0.9, abs=0.005)
        assert refused / failures == pytest.approx(0.8, abs=0.01)
        assert drawn.events["candidate"][1].mean() == pytest.approx(60 * (0.8 * 0.9 + 0.2 * 0.2), **near)
        assert drawn.confirmed[1].mean() == pytest.approx(60 * 0.8 * 0.9, **near)

    def test_tables_of_a_judged_pair_add_up(self) -> None:
        judge = JudgeError(0.9, 0.8)
        drawn = draw(generator(), self.TRUTH, ("candidate", "incumbent"), np.array([60]), np.array([40]), judge, 500)
        labelled, rest = drawn.labelled["incumbent"][..., 1, :], drawn.unlabelled["incumbent"][:, 1, :]
        assert (labelled.sum(axis=(0, 1)) == 40).all()
        assert (rest.sum(axis=0) == 20).all()
        seen = labelled.sum(axis=1) + rest
        assert (seen[2] == drawn.wins["incumbent"][1]).all()
        assert (seen[0] == drawn.losses["incumbent"][1]).all()
