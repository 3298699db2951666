"""Grouping: near-duplicates, shared payloads and declared groups hold together; templates do not."""

from __future__ import annotations

import numpy as np

from router_training.grouping import groups_of


def passage(number: int, words: int = 40) -> str:
    return " ".join(f"p{number}w{k}" for k in range(words))


def question(number: int) -> str:
    return " ".join(f"q{number}x{k}" for k in range(9))


def partition(groups: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(groups == code).tolist()) for code in range(int(groups.max()) + 1)]


def test_the_same_passage_under_other_questions_is_one_group() -> None:
    prompts = [
        f"Read this. {passage(1)} {question(1)}",
        question(2),
        f"{question(3)} Here is the text you need: {passage(1).upper()}",
        f"Read this. {passage(2)} {question(1)}",
    ]
    assert partition(groups_of(prompts)) == [{0, 2}, {1}, {3}]


def test_fewer_words_in_common_are_no_payload() -> None:
    assert partition(groups_of([f"{passage(1, 19)} {question(1)}", f"{passage(1, 19)} {question(2)}"])) == [{0}, {1}]
    assert partition(groups_of([f"{passage(1, 20)} {question(1)}", f"{passage(1, 20)} {question(2)}"])) == [{0, 1}]


def test_equal_prompts_and_near_duplicates_are_one_group() -> None:
    prompts = [passage(1, 18), question(1), passage(1, 18), f"Please: {passage(1, 18)}?", ""]
    assert partition(groups_of(prompts)) == [{0, 2, 3}, {1}, {4}]


def test_declared_groups_join_what_they_touch() -> None:
    prompts = [question(1), question(2), question(2), question(3), question(4)]
    assert partition(groups_of(prompts, ["a", "b", None, "b", "c"])) == [{0}, {1, 2, 3}, {4}]
    assert partition(groups_of(prompts, ["a", None, "a", None, None])) == [{0, 1, 2}, {3}, {4}]


def test_a_preamble_that_all_prompts_share_does_not_make_them_one_group() -> None:
    preamble = passage(0, 300)
    prompts = [f"{preamble} {question(n)}" for n in range(200)]
    assert groups_of(prompts).tolist() == list(range(200))
    prompts += [f"{preamble} {question(5)} today", f"Tell: {question(5)}"]
    groups = groups_of(prompts)
    assert groups[200] == groups[201] == groups[5]
    assert len(set(groups.tolist())) == 200


def test_what_fills_a_template_tells_prompts_apart_however_short_it_is() -> None:
    prompts = [f"{passage(0, 30)} {number}" for number in range(80)]
    assert groups_of(prompts).tolist() == list(range(80))
    groups = groups_of([*prompts, f"{passage(0, 30)}: 7?", passage(0, 30), passage(0, 30).upper()])
    assert groups[80] == groups[7]
    assert groups[81] == groups[82]
    assert len(set(groups.tolist())) == 81


def test_groups_do_not_depend_on_the_order_of_the_prompts() -> None:
    rng = np.random.default_rng(2)
    prompts = [f"{question(n % 30)} {passage(n % 7, 25)} {'extra ' * int(rng.integers(3))}" for n in range(60)]
    prompts += [question(n) for n in range(100, 160)]
    groups = groups_of(prompts)
    shuffled = rng.permutation(len(prompts))
    again = groups_of([prompts[place] for place in shuffled])
    assert {frozenset(shuffled[list(group)].tolist()) for group in partition(again)} == {
        frozenset(group) for group in partition(groups)
    }
