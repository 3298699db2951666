"""Looking at planned points: what each look decides by, and what looking saves."""

from __future__ import annotations

import math
from typing import Any, Literal

from golden_sets.errors import InputError
from pipelines.cli.output import line, stdout, table

SpendingName = Literal["obrien-fleming", "pocock", "linear", "quadratic", "cubic"]
FutilityName = Literal["none", "obrien-fleming", "pocock", "linear", "quadratic", "cubic"]

_EFFECTS = (0.0, 0.5, 1.0, 2.0)
_MOST_LOOKS = 100


def planned(
    looks: int, alpha: float, power: float, spending: SpendingName, futility: FutilityName, n: int | None
) -> dict[str, Any]:
    """The plan as a document; ``n`` is the sample of the fixed plan of the same alpha and power, if known.

    Raises:
        InputError: looks, alpha or power out of range.
    """
    from evalharness.statistics.sequential import NEVER
    from evalharness.statistics.sequential_design import design_sequence

    if not 1 <= looks <= _MOST_LOOKS:
        raise InputError(
            f"--looks must lie between 1 and {_MOST_LOOKS}, got {looks}",
            do="about ten gain nearly all there is; to look after every observation, give a FILE",
        )
    if not 1e-6 <= alpha <= 0.25:
        raise InputError(f"--alpha must lie in [1e-6, 0.25], got {alpha}", do="write 5 % as 0.05")
    if not 0.5 <= power <= 1 - 1e-6:
        raise InputError(f"--power must lie in [0.5, 0.999999], got {power}", do="write 90 % as 0.9")
    fractions = [(look + 1) / looks for look in range(looks)]
    design = design_sequence(
        fractions, alpha=alpha, power=power, kind=spending, futility=None if futility == "none" else futility
    )

    def reached(z: float) -> float | None:
        return z if abs(z) < NEVER else None

    largest = None if n is None else math.ceil(n * design.inflation - 1e-6)
    steps = [
        {
            "look": look + 1,
            "fraction": fraction,
            "n": None if largest is None else math.ceil(largest * fraction - 1e-6),
            "nominal_alpha": design.passing.nominal_alphas[look],
            "spent": design.passing.spent[look],
            "pass_z": reached(design.passing.z[look]),
            "fail_z": None if reached(design.failing.z[look]) is None else -design.failing.z[look],
            "futility_z": design.futility_z[look] if design.futility_z[look] > 0 else None,
        }
        for look, fraction in enumerate(fractions)
    ]
    effects = []
    for multiple in _EFFECTS:
        path = design.outcome(multiple)
        passed, failed = sum(path.upper), sum(path.lower)
        share = design.inflation * path.expected_fraction
        effects.append(
            {
                "effect": multiple,
                "pass": passed,
                "fail": failed,
                "undecided": max(0.0, 1 - passed - failed),
                "expected_share": share,
                "expected_n": None if n is None else n * share,
            }
        )
    return {
        "value": design.inflation,
        "low": None,
        "high": None,
        "confidence": round(1 - alpha, 15),
        "method": f"group-sequential, {spending} spending, futility {futility}",
        "n": largest,
        "note": None,
        "alpha": alpha,
        "power": power,
        "spending": spending,
        "futility": None if futility == "none" else futility,
        "inflation": design.inflation,
        "fixed_n": n,
        "looks": steps,
        "effects": effects,
    }


def show_plan(document: dict[str, Any]) -> None:
    """A plan for people."""
    console = stdout()
    line(
        console,
        f"{len(document['looks'])} looks at one-sided alpha {document['alpha']:g} and power {document['power']:g}: at "
        f"most {document['inflation']:.3f} times the sample of one look, "
        f"{document['effects'][2]['expected_share']:.2f} times on average at the planned effect.",
    )
    rows = [
        (
            str(step["look"]),
            f"{step['fraction']:.3g}" + ("" if step["n"] is None else f" (n {step['n']})"),
            f"{step['nominal_alpha']:.3g}",
            f"{step['spent']:.3g}",
            *(_z(step[name], sign) for name, sign in (("pass_z", ">="), ("fail_z", "<="), ("futility_z", "|Z| <="))),
        )
        for step in document["looks"]
    ]
    columns = ("look", "sample", "nominal alpha", "alpha spent", "pass when Z", "fail when Z", "give up when")
    console.print(table(None, columns, rows))
    outcomes = [
        (
            f"{effect['effect']:g} x",
            *(f"{100 * effect[name]:.1f} %" for name in ("pass", "fail", "undecided")),
            f"{effect['expected_share']:.2f} x" + ("" if n is None else f" (n {n:.0f})"),
        )
        for effect in document["effects"]
        for n in (effect["expected_n"],)
    ]
    names = ("effect", "passes", "fails", "undecided", "expected sample")
    console.print(table("the planned effect is 1 x, the limit itself 0 x", names, outcomes))


def _z(value: float | None, sign: str) -> str:
    return "-" if value is None else f"{sign} {value:.3f}"
