"""Near-duplicates: exactly the pairs that the definition names, found fast, whatever is repeated."""

from __future__ import annotations

import re
import time
from itertools import combinations

import numpy as np

from evalharness.near_duplicates import SIMILARITY, near_duplicates, near_pairs
from evalharness.word_windows import WordWindows, words_of


def triples(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())[:400]
    return set(zip(words, words[1:], words[2:], strict=False))


def alike(one: str, other: str) -> bool:
    mine, theirs = triples(one), triples(other)
    if not mine or not theirs:
        return words_of(one) == words_of(other)
    return len(mine & theirs) >= SIMILARITY * len(mine | theirs)


def variants(seed: int, families: int, each: int) -> list[str]:
    """Random texts, each in several versions with some words changed: near and less near duplicates."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(families):
        words = rng.integers(60, size=rng.integers(2, 60))
        for _ in range(each):
            changed = np.where(rng.random(words.size) < rng.choice([0, 0.03, 0.06]), rng.integers(60), words)
            texts.append(" ".join(f"w{word}" for word in changed))
    rng.shuffle(texts)
    return texts


def test_clusters_are_the_connected_components_of_the_definition() -> None:
    texts = variants(seed=3, families=40, each=6)
    cluster = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if alike(texts[one], texts[other]):
            cluster = [cluster[one] if c == cluster[other] else c for c in cluster]
    order = {c: number for number, c in enumerate(dict.fromkeys(cluster))}
    found = near_duplicates(texts)
    assert 40 < len(order) < 200, "some are alike and some are not, or nothing is tested"
    assert found.tolist() == [order[c] for c in cluster]


def test_pairs_between_two_collections_are_those_of_the_definition() -> None:
    texts = variants(seed=5, families=30, each=6)
    mine, theirs = texts[:120], [*texts[120:], texts[0]]
    wanted = {(i, j) for i, one in enumerate(mine) for j, other in enumerate(theirs) if alike(one, other)}
    found = list(near_pairs(mine, theirs))
    assert len(wanted) > 50
    assert sorted(found) == sorted(wanted)


def test_case_punctuation_and_what_comes_late_do_not_count() -> None:
    long = "the quick brown fox jumps over the lazy dog while nine grey cats watch from the warm old wall"
    other = "most copper pipes last for fifty years if they are kept dry"
    clusters = near_duplicates([long, long.upper() + "!", long + " today", other, "yes", "Yes.", "no", "", "?!"])
    assert clusters.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 4]
    start = " ".join(f"w{n}" for n in range(400))
    assert near_duplicates([start + " and one end", start + " with quite another end"]).tolist() == [0, 0]


def test_scripts_without_spaces_are_compared_by_character() -> None:
    question = "请问北京到上海的高速列车需要多长时间才能到达终点站"
    assert near_duplicates([question, question + "呢", "今天天气怎么样啊"]).tolist() == [0, 0, 1]


def test_thousands_of_variants_of_one_text_cost_no_more_than_different_texts() -> None:
    rng = np.random.default_rng(0)
    preamble = " ".join(f"w{n}" for n in range(300))
    texts = [f"{preamble} {' '.join(f'x{k}' for k in rng.integers(5000, size=8))}" for _ in range(3000)]
    started = time.perf_counter()
    assert set(near_duplicates(texts).tolist()) == {0}
    assert time.perf_counter() - started < 30


def test_windows_number_equal_runs_alike() -> None:
    windows = WordWindows.of([["a", "b", "a", "b", "a"], ["a"], [], ["b", "a", "b"]], 3)
    assert windows.starts.tolist() == [0, 1, 2, 6]
    assert windows.texts.tolist() == [0, 0, 0, 3]
    aba, bab = windows.codes[0], windows.codes[1]
    assert aba != bab
    assert windows.codes.tolist() == [aba, bab, aba, bab]
    assert windows.holders()[[aba, bab]].tolist() == [1, 2]
    for width in (1, 2, 4, 5, 7):
        words = [[*"abcabcabcabd"], [*"cabcab"]]
        found = WordWindows.of(words, width)
        runs = [tuple(text[k : k + width]) for text in words for k in range(len(text) - width + 1)]
        assert len({*zip(runs, found.codes.tolist(), strict=True)}) == len(set(runs)) == len(set(found.codes.tolist()))
    for few in ([["a"], []], [[*"abcde"]], []):
        assert WordWindows.of(few, 20).holders().size == 0
