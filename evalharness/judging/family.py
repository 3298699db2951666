"""Self-preference: a judge should not be the candidate, nor its relative.

Models favour their own output and that of their kin (Panickssery, Bowman and Feng, NeurIPS 2024, arXiv 2404.13076).
"""

from __future__ import annotations

from evalharness.candidate import Candidate
from evalharness.judging.judge import Judge
from golden_sets.errors import InputError


def family_guard(judge: Judge, candidate: Candidate) -> str | None:
    """A warning where judge and candidate are of one family, or where that cannot be known; None where all is well.

    Raises:
        InputError: judge and candidate have the same weights.
    """
    ours, theirs = judge.candidate.manifest, candidate.manifest
    if ours.weights_digest == theirs.weights_digest:
        if ours.adapter == theirs.adapter:
            raise InputError(
                f"judge '{judge.name}' has the weights of candidate '{candidate.name}': it would judge itself",
                do="use another judge",
            )
        return f"judge '{judge.name}' and candidate '{candidate.name}' differ by their adapters only"
    families = (judge.candidate.family, candidate.family)
    if None in families:
        unnamed = " and ".join(
            f"{role} '{name}'"
            for role, name, family in zip(("judge", "candidate"), (judge.name, candidate.name), families, strict=True)
            if family is None
        )
        return f"{unnamed} names no family: whether the judge prefers its own kind cannot be told"
    if families[0] == families[1]:
        return f"judge '{judge.name}' and candidate '{candidate.name}' are both of family '{families[0]}'"
    return None
