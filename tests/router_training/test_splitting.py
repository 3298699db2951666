"""Splits: whole groups on one side, every part like the whole, the frozen test for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.pairs import Pairs
from router_training.splitting import Split, SplitRecord, read_split, split


def some(n: int = 1200, *, seed: int = 0, group: int = 1, prefix: str = "prompt") -> Pairs:
    """Prompts of three families, 15 % hard, in groups of 1 to ``group``."""
    rng = np.random.default_rng(seed)
    groups = np.sort(rng.integers(max(1, 2 * n // (1 + group)), size=n)) if group > 1 else np.arange(n)
    return Pairs(
        prompts=tuple(f"{prefix} number {k}" for k in range(n)),
        ids=tuple(f"{prefix}-{k}" for k in range(n)),
        small=rng.choice([0.0, 1.0], size=n, p=[0.2, 0.8]),
        flagship=rng.choice([0.0, 1.0], size=n, p=[0.1, 0.9]),
        groups=groups,
        families=tuple(rng.choice(["law", "maths", "tiny"], size=n, p=[0.7, 0.29, 0.01]).tolist()),
    )


def together(one: Pairs, other: Pairs, *, groups: np.ndarray | None = None) -> Pairs:
    assert one.families is not None
    assert other.families is not None
    return Pairs(
        prompts=one.prompts + other.prompts,
        ids=one.ids + other.ids,
        small=np.concatenate([one.small, other.small]),
        flagship=np.concatenate([one.flagship, other.flagship]),
        groups=np.concatenate([one.groups, other.groups + 10_000]) if groups is None else groups,
        families=one.families + other.families,
    )


def parts(found: Split) -> list[np.ndarray]:
    return [found.train, found.calibration, found.test]


def names(pairs: Pairs, rows: np.ndarray) -> set[str]:
    return {pairs.prompts[row] for row in rows}


@pytest.mark.parametrize("group", [1, 3, 12])
def test_every_prompt_is_in_one_part_and_no_group_in_two(group: int) -> None:
    pairs = some(group=group)
    found = split(pairs, seed=4)
    assert sorted(np.concatenate(parts(found)).tolist()) == list(range(len(pairs)))
    sides = [set(pairs.groups[rows].tolist()) for rows in parts(found)]
    assert len(set.union(*sides)) == sum(len(side) for side in sides)
    assert found.left_out.size == 0


@pytest.mark.parametrize(("group", "leeway"), [(1, 0.004), (3, 0.025), (12, 0.03)])
def test_parts_have_their_size_and_are_like_the_whole(group: int, leeway: float) -> None:
    pairs = some(group=group)
    for seed in range(5):
        found = split(pairs, seed=seed)
        for rows, share in zip(parts(found), (0.5, 0.25, 0.25), strict=True):
            part = pairs.take(rows)
            assert len(part) / len(pairs) == pytest.approx(share, abs=leeway)
            assert part.hard.mean() == pytest.approx(pairs.hard.mean(), abs=2 * leeway)
            assert (part.delta < 0).mean() == pytest.approx((pairs.delta < 0).mean(), abs=3 * leeway)
            assert part.families is not None
            assert pairs.families is not None
            law = pairs.families.count("law") / len(pairs)
            assert part.families.count("law") / len(part) == pytest.approx(law, abs=2 * leeway)


def test_shares_can_be_asked_for() -> None:
    found = split(some(1000), seed=0, test=0.1, calibration=0.3)
    assert [rows.size for rows in parts(found)] == pytest.approx([600, 300, 100], abs=2)
    with pytest.raises(InputError, match="sum below 1"):
        split(some(), seed=0, test=0.5, calibration=0.5)


def test_a_group_larger_than_a_part_does_not_crowd_the_others_out() -> None:
    pairs = some(1000)
    pairs = replace(pairs, groups=np.where(np.arange(1000) < 400, 0, pairs.groups))
    found = split(pairs, seed=0)
    assert set(range(400)) <= set(found.train.tolist()), "only the training part has room for it"
    assert [rows.size for rows in parts(found)] == pytest.approx([500, 250, 250], abs=5)


def test_the_split_depends_on_seed_and_prompts_alone() -> None:
    pairs = some(group=3)
    first, again, other = split(pairs, seed=1), split(pairs, seed=1), split(pairs, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(parts(first), parts(again), strict=True))
    assert len(names(pairs, first.test) & names(pairs, other.test)) < 0.5 * first.test.size
    shuffled = pairs.take(np.random.default_rng(0).permutation(len(pairs)))
    for rows, moved in zip(parts(first), parts(split(shuffled, seed=1)), strict=True):
        assert names(pairs, rows) == names(shuffled, moved)


@pytest.mark.parametrize("group", [1, 2, 6])
def test_each_prompt_is_as_likely_to_be_tested_as_any_other(group: int) -> None:
    pairs = some(120, group=group)
    tested = np.zeros(120)
    for seed in range(400):
        tested[split(pairs, seed=seed).test] += 1
    # 4.5 standard errors of a share of .25 in 400 splits.
    assert tested.mean() / 400 == pytest.approx(0.25, abs=0.01)
    assert np.abs(tested / 400 - 0.25).max() < 0.1


def test_too_few_groups_are_refused() -> None:
    pairs = replace(some(200), groups=np.repeat([0, 1], 100))
    with pytest.raises(InputError, match=r"no prompt is left for .*: 200 prompts form 2 groups"):
        split(pairs, seed=0)


def test_the_record_is_written_read_and_found_again(tmp_path: Path) -> None:
    pairs = some(300)
    found = split(pairs, seed=3)
    (tmp_path / "splits.json").write_bytes(SplitRecord.of(pairs, found).to_bytes())
    record = read_split(tmp_path / "splits.json")
    assert all(np.array_equal(a, b) for a, b in zip(parts(record.find(pairs)), parts(found), strict=True))
    strangers = record.find(some(50, prefix="stranger"))
    assert sum(rows.size for rows in parts(strangers)) == 0
    text = (tmp_path / "splits.json").read_text()
    assert "prompt number" not in text, "the record tells ids and digests only"
    (tmp_path / "splits.json").write_text(text.replace('prompt-7"', 'prompt-8"'))
    with pytest.raises(InputError, match="changed after it was written"):
        read_split(tmp_path / "splits.json")


def test_the_frozen_test_does_not_move_when_prompts_are_added() -> None:
    first = some(400)
    before = split(first, seed=0)
    record = SplitRecord.of(first, before)
    more = some(300, seed=9, prefix="new")
    pairs = together(more, first)
    found = split(pairs, seed=77, keep=record)
    assert names(pairs, found.test) == names(first, before.test)
    assert names(first, before.train) <= names(pairs, found.train)
    assert names(first, before.calibration) <= names(pairs, found.calibration)
    assert found.left_out.size == 0
    assert found.train.size + found.calibration.size + found.test.size == 700
    assert found.calibration.size / (found.train.size + found.calibration.size) == pytest.approx(1 / 3, abs=0.01)


def test_what_belongs_to_a_group_of_the_frozen_test_is_left_out() -> None:
    first = some(400)
    before = split(first, seed=0)
    record = SplitRecord.of(first, before)
    pairs = together(first, some(3, prefix="near"))
    tested, taught = int(before.test[0]), int(before.train[0])
    pairs.groups[400:] = [first.groups[tested], first.groups[taught], 20_000]
    found = split(pairs, seed=0, keep=record)
    assert found.left_out.tolist() == [400]
    assert 401 in found.train
    assert names(pairs, found.test) == names(first, before.test)


def test_picked_prompts_only_teach() -> None:
    """New ones, copies of calibration and test prompts, and one in a group with a new prompt that was not picked."""
    old = some(400)
    before = split(old, seed=3)
    record = SplitRecord.of(old, before)
    copies = old.take(np.concatenate([before.calibration[:5], before.test[:5], before.train[:5]]))
    copies = replace(copies, ids=tuple(f"copy-{k}" for k in range(15)))
    more = together(some(300, prefix="picked"), some(90, prefix="drawn"))
    every = together(together(old, copies), more)
    groups = np.concatenate([old.groups, copies.groups, 1000 + np.arange(390)])
    groups[-1] = groups[415]  # a drawn prompt and a picked one
    picked = np.r_[np.zeros(400, bool), np.ones(315, bool), np.zeros(90, bool)]
    every = replace(every, groups=groups, teach_only=picked)
    found = split(every, seed=3, keep=record)
    assert picked[found.train].sum() >= 299 + 5
    assert not picked[found.calibration].any()
    assert found.test.tolist() == before.test.tolist()
    assert set(before.calibration.tolist()) <= set(found.calibration.tolist())
    assert set(range(400, 410)) <= set(found.left_out.tolist())
    drawn = np.arange(715, 805)
    assert np.isin(found.calibration, drawn).sum() == pytest.approx(30, abs=3), "2 : 1 among those that were not picked"
    fresh = split(replace(every, groups=np.arange(805)), seed=3)
    assert not picked[np.concatenate([fresh.calibration, fresh.test])].any()
    assert fresh.test.size == pytest.approx(490 / 4, abs=3)


def test_another_label_of_a_tested_prompt_does_not_join_the_test() -> None:
    first = some(400)
    before = split(first, seed=0)
    tested = int(before.test[0])
    again = first.take(np.array([tested]))
    again = replace(again, ids=("other",), groups=again.groups - 10_000)
    pairs = together(again, first, groups=np.concatenate([first.groups[[tested]], first.groups]))
    found = split(pairs, seed=0, keep=SplitRecord.of(first, before))
    assert found.left_out.tolist() == [0], "the row with the tested id is the test, whatever comes first"
    assert found.test.size == before.test.size
    assert tested + 1 in found.test


def test_a_frozen_test_that_is_not_there_is_an_error() -> None:
    first = some(400)
    record = SplitRecord.of(first, split(first, seed=0))
    with pytest.raises(InputError, match=r"100 of the 100 prompts of the frozen test are missing - give the labelled"):
        split(some(300, prefix="new"), seed=0, keep=record)
