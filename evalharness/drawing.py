"""Which prompts a check rests on: its own sample, drawn from the strata of a plan in a committed order.

A plan sizes every cell by its own base rate, so the strata of a set are asked unequally. A number pooled over strata
must not change with that. Therefore each check takes its strata in proportion to their declared weights: the j-th
prompt of a stratum with weight w stands at position (j + u) / w, u in (0, 1) fixed by the plan's seed and the stratum,
and the check's sample is all its prompts by position, up to the first one that is not planned. Every prefix of that
sample is a proportional stratified sample (systematic with a random start: Cochran, Sampling Techniques (1977), 5.5 and
8.1), rare strata included, so intervals for independent observations hold (they are a little too wide), and looks at
growing prefixes estimate the same number.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from evalharness.outcome_columns import SET_KEYS
from evalharness.plan import Looks, Plan, PlannedCell, PlannedSet, Stratum
from golden_sets.digests import canonical_json

PromptId = tuple[str, str]
"""Name of the set, id of the prompt."""


def sample_of(plan: Plan, cell: PlannedCell) -> tuple[PromptId, ...]:
    """The prompts of a cell's check in the order in which it takes them, at most ``cell.n`` unless it is not sized."""
    drawn = merged(strata_of(plan.sets, cell), plan.seed)
    return drawn[: cell.n] if cell.n else drawn


def strata_of(sets: Mapping[str, PlannedSet], cell: PlannedCell) -> Iterable[tuple[str, Stratum]]:
    """The strata that belong to a check's cell, with the names of their sets."""
    for name, planned in sorted(sets.items()):
        if cell.set_kind not in (None, planned.kind) or cell.set_name not in (None, name):
            continue
        for stratum in planned.strata:
            if all(stratum.cell.get(key) == value for key, value in cell.cell.items()):
                yield name, stratum


def merged(members: Iterable[tuple[str, Stratum]], seed: int) -> tuple[PromptId, ...]:
    """Prompts of several strata in proportion to their weights, up to the first that is not planned."""
    strata = list(members)
    if not strata:
        return ()
    sizes = [len(stratum.prompts) for _, stratum in strata]
    # One place more than there are prompts: where the first that is not planned would stand.
    places = [
        (np.arange(size + 1) + _start(name, stratum, seed)) / stratum.weight
        for size, (name, stratum) in zip(sizes, strata, strict=True)
    ]
    end = min((float(own[-1]), index) for index, own in enumerate(places))
    place, index = np.concatenate([own[:-1] for own in places]), np.repeat(np.arange(len(strata)), sizes)
    order = np.lexsort((index, place))
    before = (place < end[0]) | ((place == end[0]) & (index < end[1]))
    prompts = [(name, prompt) for name, stratum in strata for prompt in stratum.prompts]
    return tuple(prompts[i] for i in order[before[order]].tolist())


def _start(name: str, stratum: Stratum, seed: int) -> float:
    """The random start of a stratum in (0, 1)."""
    digest = hashlib.sha256(canonical_json([seed, name, dict(stratum.cell)])).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def proportional(plan: Plan, asked: Collection[PromptId], selector: Mapping[str, str]) -> tuple[PromptId, ...]:
    """The asked prompts of a selection in proportion to the weights of their strata.

    Args:
        plan: the plan.
        asked: what was asked in the end.
        selector: ``set`` (kind), ``set_name``, or dimension values; strata that do not tell a dimension stay in.
    """
    wanted = {key: value for key, value in selector.items() if key not in SET_KEYS}
    members = [
        (name, stratum.model_copy(update={"prompts": tuple(p for p in stratum.prompts if (name, p) in asked)}))
        for name, planned in sorted(plan.sets.items())
        if selector.get("set", planned.kind.value) == planned.kind.value and selector.get("set_name", name) == name
        for stratum in planned.strata
        if all(stratum.cell.get(key, value) == value for key, value in wanted.items())
    ]
    return merged(members, plan.seed)


def look_sizes(looks: Looks, n: int) -> tuple[int, ...]:
    """Prompts of a check at each look; they never shrink, and the last is ``n``."""
    return (*(min(n, max(1, math.ceil(fraction * n - 1e-9))) for fraction in looks.fractions[:-1]), n)
