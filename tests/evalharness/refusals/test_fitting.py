"""Detectors from a user's labels: they learn what the shipped one does not know, always alike, on sound folds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from evalharness.answer_classes import AnswerClass
from evalharness.refusals import RefusalDetector, TrainingAnswers, cross_validate, fit_refusals
from evalharness.refusals.folds import held_out_folds
from evalharness.refusals.labelled_file import LabelledRefusals
from evalharness.refusals.refit import refit
from golden_sets.errors import InputError

REFUSAL, PARTIAL, COMPLIANCE = AnswerClass.FULL_REFUSAL, AnswerClass.PARTIAL_REFUSAL, AnswerClass.FULL_COMPLIANCE
THINGS = (
    "copper pipes", "old maps", "goat cheese", "night trains", "sea glass", "brass bells", "rye bread", "steam engines",
    "wool socks", "paper kites", "oak barrels", "chess clocks", "tin roofs", "plum jam", "river ferries", "clay pots",
)  # fmt: skip
HOUSE = [f"Desk {n}: your enquiry on {thing} was closed under rule {n + 3}." for n, thing in enumerate(THINGS)]
PLAIN = [f"Most {thing} last for {n + 5} years. Keep them dry and away from the sun." for n, thing in enumerate(THINGS)]


@cache
def house_style(*, groups: bool = False) -> TrainingAnswers:
    """Refusals in the words of one firm, which nobody else would call refusals."""
    return TrainingAnswers.of(
        HOUSE + PLAIN,
        [REFUSAL] * len(HOUSE) + [COMPLIANCE] * len(PLAIN),
        prompts=[f"Tell me about {thing}." for thing in (*THINGS, *THINGS)],
        groups=["a", "b"] * len(THINGS) if groups else None,
    )


def test_labels_teach_what_the_shipped_detector_does_not_know() -> None:
    unseen = [
        "Desk 40: your enquiry on beeswax was closed under rule 44.",
        "Beeswax lasts for years if you keep it dry.",
    ]
    before = [verdict.label for verdict in RefusalDetector.shipped().classify(unseen)]
    after = [verdict.label for verdict in fit_refusals(house_style()).classify(unseen)]
    assert before == [COMPLIANCE, COMPLIANCE]
    assert after == [REFUSAL, COMPLIANCE]


def test_the_same_labels_make_the_same_detector() -> None:
    first, second = fit_refusals(house_style()), fit_refusals(house_style.__wrapped__())
    assert first.digest == second.digest
    assert first.training.rows == 32
    assert first.training.refusals == 16
    flipped = TrainingAnswers.of(HOUSE + PLAIN, [REFUSAL] * 15 + [COMPLIANCE] * 17)
    assert fit_refusals(flipped).digest != first.digest


def test_held_out_verdicts_come_from_other_rows() -> None:
    answers = house_style(groups=True)
    done: list[tuple[int, int]] = []
    found = cross_validate(answers, lambda k, of: done.append((k, of)))
    assert np.mean((found >= 0.5) == answers.refusing) >= 0.9
    assert 5 <= len(done) <= 10, "every group in up to five parts"
    assert done == [(k, len(done)) for k in range(1, len(done) + 1)]
    rng = np.random.default_rng(3)
    nonsense = TrainingAnswers.of(HOUSE + PLAIN, [[REFUSAL, COMPLIANCE][i] for i in rng.permutation([0, 1] * 16)])
    in_vain = cross_validate(nonsense)
    assert np.mean((in_vain >= 0.5) == nonsense.refusing) < 0.75, "labels without meaning cannot be foreseen"


def test_too_few_partial_refusals_leave_the_difference_to_the_shipped_detector() -> None:
    partials = [f"I can't sell you {thing}. They are made by hand in the north, and take a week." for thing in THINGS]
    few = TrainingAnswers.of(HOUSE + partials + PLAIN, [REFUSAL] * 16 + [PARTIAL] * 16 + [COMPLIANCE] * 16)
    detector = fit_refusals(few)
    assert detector.training.partial == 0
    assert np.array_equal(detector.partial.weights, RefusalDetector.shipped().partial.weights)


def test_a_group_with_one_class_only_is_measured_and_counted() -> None:
    labelled = LabelledRefusals(
        texts=(*HOUSE, *PLAIN),
        labels=(REFUSAL,) * 16 + (COMPLIANCE,) * 16,
        prompts=None,
        groups=("a",) * 16 + ("b",) * 16,
        unlabelled=0,
        counts={"1": 16, "0": 16},
        positive=("1",),
    )
    found = refit(labelled, source="here")
    assert (found.overall.labelled, found.overall.unparsed) == (32, 32), "nothing to fit on without the other group"
    assert found.groups["a"].specificity is None
    assert found.shipped.unparsed == 0


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ([REFUSAL] * 16 + [COMPLIANCE] * 15, "31 labels for 32 answers"),
        ([REFUSAL] * 32, "0 labelled compliances"),
        ([REFUSAL] * 9 + [COMPLIANCE] * 23, "9 labelled refusals .* at least 10"),
        ([REFUSAL] * 31 + [AnswerClass.EMPTY_OR_BROKEN], "told by rules"),
    ],
)
def test_labels_that_nothing_can_be_fitted_on(labels: list[AnswerClass], what: str) -> None:
    with pytest.raises(InputError, match=what):
        TrainingAnswers.of(HOUSE + PLAIN, labels)


def test_broken_answers_are_counted_and_left_out() -> None:
    found = TrainingAnswers.of(["", *HOUSE, "...", *PLAIN], [COMPLIANCE, *[REFUSAL] * 16, *[COMPLIANCE] * 17])
    assert (found.broken, len(found.labels), found.matrix.shape[0]) == (2, 32, 32)
    assert 0 not in found.rows
    assert 17 not in found.rows


def test_folds_keep_units_groups_and_doubles_apart_and_measure_every_row_once() -> None:
    rng = np.random.default_rng(11)
    units, doubles = rng.integers(40, size=300), rng.integers(250, size=300)
    groups = rng.choice(["x", "y", "z"], size=300)
    folds = held_out_folds(units, groups, 5, doubles=doubles)
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(300))
    for train, test in folds:
        assert train.size > 100
        assert not set(units[train]) & set(units[test])
        assert not set(doubles[train]) & set(doubles[test])
        assert len(set(groups[test])) == 1
        assert groups[test][0] not in set(groups[train])
    without = held_out_folds(units, None, 5, doubles=np.arange(300))
    assert [test.size for _, test in without] == pytest.approx([60] * 5, abs=12)
    again = held_out_folds(units, groups, 5, doubles=doubles)
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(folds, again, strict=True))


def test_the_fitted_detector_survives_its_file(tmp_path: Path) -> None:
    fitted = fit_refusals(house_style())
    fitted.save(tmp_path / "house.json")
    loaded = RefusalDetector.load(tmp_path / "house.json")
    assert loaded.digest == fitted.digest
    assert loaded.classify(HOUSE) == fitted.classify(HOUSE)
