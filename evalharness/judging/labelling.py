"""Which answers get a true label: a random sample of prompts, drawn with known probabilities.

Both arms' answers to a drawn prompt are labelled, so that paired differences can be corrected. The sample is
stratified by what the judge said about the arms (both pass, only one passes, ...): in proportion to the strata, with a
least number from each, so that verdicts that are rare are still checked. The resulting probabilities differ between
strata; they are carried as ``label_p`` and every estimate weights by their inverse (Horvitz and Thompson, JASA 47
(1952) 663).

Prompts on which the judge is likely to be wrong, because another instrument contradicts it, come first: they are a
stratum of their own with up to half of the labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from golden_sets.errors import InputError

Key = TypeVar("Key", bound=Hashable)
Verdicts = tuple[bool | None, ...]
"""What the judge said of each arm's answer, in a fixed order of arms; None: unscored."""


@dataclass(frozen=True)
class LabelSample(Generic[Key]):
    """A drawn sample of prompts."""

    chosen: frozenset[Key]
    """The prompts whose answers are to be labelled, on every arm."""
    probability: Mapping[Key, float]
    """Probability, in (0, 1], with which each prompt was to be chosen; for every prompt, chosen or not."""


def labelled_subsample(
    verdicts: Mapping[Key, Verdicts],
    *,
    per_arm: int = 100,
    least: int = 10,
    seed: int = 0,
    first: Collection[Key] = (),
) -> LabelSample[Key]:
    """Draw the prompts to be labelled.

    The draw depends on the keys and the seed alone, not on their order.

    Args:
        verdicts: the judge's verdicts on every arm's answer, by prompt (key: anything with a distinct ``repr``).
            Prompts without an answer on some arm do not belong here.
        per_arm: prompts to draw in proportion, so that each arm gets as many labels.
        least: prompts to draw at least from every stratum, where it has so many; may raise the total.
        seed: seed of the draw.
        first: prompts that are drawn first, e.g. those on some arm of which judge and refusal detector disagree; half
            of ``per_arm`` is theirs (all of them where they are fewer, their proportion where that is more), and the
            other strata share the rest. Keys without verdicts are passed over.

    Raises:
        InputError: no prompt, ``per_arm`` or ``least`` below 1, or verdicts on a different number of arms.
    """
    if not verdicts:
        raise InputError("there is nothing to label", do="judge some answers first")
    if per_arm < 1 or least < 1:
        raise InputError(f"per_arm and least must be at least 1, got {per_arm} and {least}")
    if len({len(seen) for seen in verdicts.values()}) > 1:
        raise InputError("every prompt needs a verdict (or None) for the same arms")
    strata: dict[Verdicts | None, list[Key]] = {}
    wanted_first = set(first)
    for key, seen in verdicts.items():
        strata.setdefault(None if key in wanted_first else seen, []).append(key)
    ahead = strata.pop(None, [])
    in_proportion = round(per_arm * len(ahead) / len(verdicts))
    reserved = min(len(ahead), max(1, per_arm // 2, in_proportion))
    draws = [(ahead, reserved)] if ahead else []
    share = min(1.0, (per_arm - reserved) / max(1, len(verdicts) - len(ahead)))
    draws += [(members, min(len(members), max(least, round(share * len(members))))) for members in strata.values()]
    chosen: set[Key] = set()
    probability: dict[Key, float] = {}
    for members, count in draws:
        chosen.update(sorted(members, key=lambda key: _lot(key, seed))[:count])
        probability.update(dict.fromkeys(members, count / len(members)))
    return LabelSample(frozenset(chosen), probability)


def _lot(key: Hashable, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{key!r}".encode()).digest()
