"""Made-up labelled prompts in which the topic tells what is hard: mathematics for the small model, cooking not."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MATHEMATICS = ("integral", "derivative", "matrix", "theorem", "prime", "proof", "polynomial", "vector", "eigenvalue")
COOKING = ("onion", "butter", "flour", "oven", "garlic", "pepper", "salad", "recipe", "spoon", "dough", "basil")
PLAIN = ("what", "about", "with", "some", "many", "old", "new", "small", "green", "quick", "happy", "house", "garden")

Row = dict[str, Any]


def labelled_rows(n: int, *, seed: int = 0) -> list[Row]:
    """Rows of a file for ``router train``: two in five are about mathematics, on which the small model mostly fails."""
    drawn = random.Random(seed)
    rows = []
    for number in range(n):
        hard = drawn.random() < 0.4
        words = drawn.choices(MATHEMATICS if hard else COOKING, k=5) + drawn.choices(PLAIN, k=7)
        drawn.shuffle(words)
        rows.append(
            {
                "id": f"{seed}-{number}",
                "prompt": " ".join(words) + "?",
                "small_score": int(drawn.random() < (0.15 if hard else 0.93)),
                "flagship_score": int(drawn.random() < 0.95),
                "family": "mathematics" if hard else "cooking",
            }
        )
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
