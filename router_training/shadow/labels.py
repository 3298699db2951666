"""The labels that shadow validation yields, in the form that ``router train`` reads, and prompts worth labelling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golden_sets.documents import write_whole
from router_training.shadow.alerts import NewCluster
from router_training.shadow.watching import Watch

COSTS = ("small_usd", "flagship_usd")


def labelled_rows(watch: Watch) -> list[dict[str, Any]]:
    """Every replay with both scores, as a row of labelled prompts.

    ``weight`` is one over the probability with which it was sampled, scaled to 1 for the rarest. Even so weighted they
    stand only for what this router sends to the small model, so they may teach the next one, but not prove its
    threshold: beside the calibration prompts they would thin out what is lost on all others. Costs are told where both
    are known of every replay: labelled prompts have them all or not at all.
    """
    scored = [one for one in watch.store.replays() if one["state"] == "scored" and one["prompt"].strip()]
    priced = all(one[name] is not None for one in scored for name in COSTS)
    return [
        {
            "id": one["id"],
            "prompt": one["prompt"],
            "small_score": one["small_score"],
            "flagship_score": one["flagship_score"],
            **({name: one[name] for name in COSTS} if priced else {}),
            **({} if one["family"] is None else {"family": one["family"]}),
            "weight": watch.least_probability / one["probability"],
            "teach_only": True,
        }
        for one in scored
    ]


def to_label_rows(watch: Watch, clusters: Sequence[NewCluster]) -> list[dict[str, Any]]:
    """Examples of what is new, whole prompts, with empty scores to fill in."""
    rows = watch.store.recent(1, watch.store.count())
    prompts = {id_: (prompt, family) for _, id_, prompt, family, *_ in rows}
    return [
        {
            "id": example,
            "prompt": prompts[example][0],
            "small_score": None,
            "flagship_score": None,
            "teach_only": True,
            "cluster": number,
            **({} if prompts[example][1] is None else {"family": prompts[example][1]}),
        }
        for number, cluster in enumerate(clusters, start=1)
        for example in cluster.examples
        if example in prompts
    ]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """JSONL, whole or not at all.

    Raises:
        InfrastructureError: it cannot be written.
    """
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    write_whole(path, text.encode())
