"""Which prompts are new: clusters that the traffic since the change holds more of than the reference, with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom
from statsmodels.stats.proportion import proportion_confint

from router_training.heads.head import Matrix
from router_training.novelty import clusters
from router_training.pairs import Codes, Mask
from router_training.shadow.alerts import NewCluster

CONFIDENCE = 0.95
LEAST = 4
"""Fewer requests are no cluster to speak of."""
EXAMPLES = 10
"""Examples of a cluster to label."""
EXAMPLE_CHARACTERS = 4000
"""Longer prompts are cut in alerts; the file of prompts to label has them whole."""
MOST = 10
"""Clusters that are reported."""

_MOST_REFERENCE = 4  # reference prompts for each of the window: more would drown it


@dataclass(frozen=True, slots=True)
class Seen:
    """A request of the window."""

    id: str
    prompt: str
    family: str | None
    flagship: bool


def new_clusters(
    reference: Matrix, window: Matrix, requests: Sequence[Seen], *, seed: int, examples: int = EXAMPLES
) -> tuple[NewCluster, ...]:
    """Clusters in which the window is over-represented, the most crowded first.

    Window and reference are clustered together, blind to which is which; so, were they alike, a cluster's members would
    be of the window as if drawn at random. Each cluster's count is held against that (Fisher's exact test, one-sided),
    at 5 % over all clusters (Bonferroni). Crowded clusters that are nearest to each other are told as one.

    Args:
        reference: embeddings, shape (m, dimensions), each of length 1.
        window: embeddings of the requests since the change, shape (n, dimensions).
        requests: the same requests.
        seed: of k-means, and of the draw from a reference much larger than the window.
        examples: most examples of a cluster.

    Returns:
        At most `MOST`; none for a window of fewer than `LEAST` requests.
    """
    n = len(window)
    if n < LEAST:
        return ()
    rng = np.random.default_rng(seed)
    if len(reference) > (most := _MOST_REFERENCE * max(n, 100)):
        reference = reference[np.sort(rng.choice(len(reference), most, replace=False))]
    pooled = np.concatenate([reference, window])
    centres = clusters(pooled, seed=seed)
    likeness = np.array([centres @ row for row in pooled])
    member = likeness.argmax(axis=1)
    of_window = np.arange(len(pooled)) >= len(reference)
    crowded = [k for k in range(len(centres)) if _over_represented(member == k, of_window, len(centres))]
    found = []
    for group in _joined(crowded, centres):
        inside = np.isin(member, group)
        tested = _over_represented(inside, of_window, len(centres))
        if tested is not None:
            rows = np.flatnonzero(inside[len(reference) :])
            to_centre = likeness[len(reference) + rows][:, group].max(axis=1)
            nearest = rows[np.argsort(-to_centre, kind="stable")]
            found.append(_record(tested, nearest, requests, n, examples))
    return tuple(sorted(found, key=lambda one: (-one.requests, one.examples))[:MOST])


def _joined(crowded: Sequence[int], centres: Matrix) -> list[list[int]]:
    """Crowded clusters of one kind as one: those whose nearest other centre is that of a crowded cluster, too."""
    if len(centres) == 1:
        return [[k] for k in crowded]
    likeness = centres @ centres.T
    np.fill_diagonal(likeness, -np.inf)
    group = {k: {k} for k in crowded}
    for k in crowded:
        other = int(likeness[k].argmax())
        if other in group and group[other] is not group[k]:
            group[k] |= group[other]
            for member in group[k]:
                group[member] = group[k]
    return sorted({id(one): sorted(one) for one in group.values()}.values())


@dataclass(frozen=True, slots=True)
class _Test:
    requests: int
    reference_share: float
    ratio_low: float
    p_value: float


def _over_represented(inside: Mask, of_window: Mask, tests: int) -> _Test | None:
    n, m = int(of_window.sum()), int((~of_window).sum())
    of_n, of_m = int((inside & of_window).sum()), int((inside & ~of_window).sum())
    if of_n < LEAST:
        return None
    p = min(1.0, tests * float(hypergeom.sf(of_n - 1, n + m, n, of_n + of_m)))
    if p > 1 - CONFIDENCE:
        return None
    # Of its members, the share that is the window's: a one-sided Clopper-Pearson bound, turned into a ratio of rates.
    low = float(proportion_confint(of_n, of_n + of_m, alpha=2 * (1 - CONFIDENCE) / tests, method="beta")[0])
    return _Test(of_n, of_m / m, (low / (1 - low)) * (m / n), p)


def _record(test: _Test, nearest: Codes, requests: Sequence[Seen], n: int, examples: int) -> NewCluster:
    members = [requests[row] for row in nearest.tolist()]
    distinct = list({one.prompt: one for one in reversed(members)}.values())[::-1][:examples]
    families = Counter(one.family for one in members if one.family is not None)
    return NewCluster(
        requests=test.requests,
        share=test.requests / n,
        reference_share=test.reference_share,
        ratio_low=test.ratio_low,
        p_value=test.p_value,
        flagship_share=sum(one.flagship for one in members) / len(members),
        families=dict(families.most_common()),
        examples=tuple(one.id for one in distinct),
        prompts=tuple(one.prompt[:EXAMPLE_CHARACTERS] for one in distinct),
    )
