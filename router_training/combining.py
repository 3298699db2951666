"""Labelled prompts from several places as one collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from router_training.grouping import groups_of
from router_training.labelled_file import NO_FAMILY, all_or_none
from router_training.pairs import Pairs


def combined(parts: Sequence[Pairs]) -> Pairs:
    """All prompts of some collections, grouped anew: near-duplicates are one group wherever they come from.

    Families and costs are kept where there are some; costs where every collection has them.
    """
    if len(parts) == 1:
        return parts[0]
    prompts = tuple(prompt for part in parts for prompt in part.prompts)
    declared = [f"{number}/{code}" for number, part in enumerate(parts) for code in part.groups.tolist()]
    families = [name for part in parts for name in part.families or (NO_FAMILY,) * len(part)]
    return Pairs(
        prompts=prompts,
        ids=tuple(name for part in parts for name in part.ids),
        small=np.concatenate([part.small for part in parts]),
        flagship=np.concatenate([part.flagship for part in parts]),
        groups=groups_of(prompts, declared),
        families=tuple(families) if any(part.families for part in parts) else None,
        small_usd=all_or_none([part.small_usd for part in parts]),
        flagship_usd=all_or_none([part.flagship_usd for part in parts]),
        teach_only=np.concatenate([part.picked for part in parts]),
    )
