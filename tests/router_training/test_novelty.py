"""Prompts unlike training."""

from __future__ import annotations

import numpy as np
import pytest

from router_training.heads.head import Matrix
from router_training.novelty import clusters, distances, fit_novelty, scripts, unit_length, unlike
from router_training.pairs import Codes
from router_training.records import Novelty


def around(centres: Matrix, each: int, noise: float, seed: int) -> Matrix:
    """Unit vectors near some centres."""
    rng = np.random.default_rng(seed)
    points = np.repeat(centres, each, axis=0) + noise * rng.standard_normal((len(centres) * each, centres.shape[1]))
    return unit_length(points)


CENTRES = np.eye(4, 32, dtype=np.float32)
TRAINING = around(CENTRES, 100, 0.05, 1)


def fitted(prompts: list[str] | None = None, embeddings: Matrix = TRAINING, groups: Codes | None = None) -> Novelty:
    texts = ["what is a word, and what is none?"] * len(embeddings) if prompts is None else prompts
    tokens = np.full(len(texts), 6)
    return fit_novelty(texts, embeddings, tokens, np.arange(len(texts)) if groups is None else groups, seed=0)


def judged(novelty: Novelty, prompt: str, *, distance: float = 0.0, tokens: int = 6) -> bool:
    return bool(unlike(novelty, [prompt], np.array([tokens]), np.array([distance]))[0])


def test_new_prompts_like_training_exceed_the_distance_rarely_and_strange_ones_always() -> None:
    novelty, centres = fitted(), clusters(TRAINING, seed=0)
    like = distances(around(CENTRES, 1000, 0.05, 2), centres)
    strange = distances(around(np.eye(32, dtype=np.float32)[10:12], 100, 0.05, 3), centres)
    assert (like > novelty.max_distance).mean() < 0.03
    assert (strange > novelty.max_distance).all()


def test_the_distance_is_one_to_clusters_that_the_prompts_group_did_not_make() -> None:
    lonely = np.vstack([TRAINING[:300], np.repeat(np.eye(32, dtype=np.float32)[20:21], 100, axis=0)])
    one_group = np.r_[np.arange(300), np.full(100, 300)]
    assert fitted(embeddings=lonely, groups=one_group).max_distance > 0.5
    assert fitted(embeddings=lonely, groups=np.arange(400)).max_distance < 0.5


def test_clusters_are_the_same_again_and_of_unit_length() -> None:
    once, again = clusters(TRAINING, seed=3), clusters(TRAINING, seed=3)
    assert np.array_equal(once, again)
    assert np.linalg.norm(once, axis=1) == pytest.approx(1.0)
    assert len(once) == len(TRAINING) // 20


def test_clusters_of_equal_prompts_are_one() -> None:
    assert len(clusters(np.repeat(TRAINING[:1], 100, axis=0), seed=0)) == 1


def test_a_distance_depends_on_no_neighbour() -> None:
    centres = clusters(TRAINING, seed=0)
    together = distances(TRAINING, centres)
    alone = np.concatenate([distances(TRAINING[row : row + 1], centres) for row in range(len(TRAINING))])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("prompt", ["", " \n\t", "Что такое слово?", "ما هي الكلمة", "语言是什么", "word " * 40])
def test_blank_long_and_foreign_prompts_are_unlike_training(prompt: str) -> None:
    assert judged(fitted(), prompt)


def test_more_tokens_than_twice_the_longest_are_unlike_training() -> None:
    assert not judged(fitted(), "a word", tokens=12)
    assert judged(fitted(), "a word", tokens=13)


def test_a_distance_beyond_the_limit_is_unlike_training() -> None:
    novelty = fitted()
    assert not judged(novelty, "a word", distance=novelty.max_distance)
    assert judged(novelty, "a word", distance=novelty.max_distance + 1e-9)


def test_digits_and_a_letter_of_a_formula_are_like_training() -> None:
    assert not judged(fitted(), "12 + 7 = ?")
    assert not judged(fitted(), "what is the area of it if π = 3")


def test_a_script_is_known_once_enough_prompts_are_written_in_it() -> None:
    latin = ["what is a word"] * 395
    assert "CYRILLIC" not in fitted([*latin, *["слово"] * 5]).scripts
    assert "CYRILLIC" in fitted([*latin[:380], *["слово"] * 20]).scripts


def test_scripts_of_a_text() -> None:
    assert scripts("abc δ and much more text beside it") == {"LATIN"}
    assert scripts("слово, word") == {"CYRILLIC", "LATIN"}
    assert scripts("123 ?!") == frozenset()
    assert scripts("日本語") == {"CJK"}
