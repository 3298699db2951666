"""``relgate stats size``: how many observations, for one of three questions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from golden_sets.errors import InputError
from pipelines.cli.output import Json, emit, line, stdout
from pipelines.cli.stats.options import ProportionMethodName, only, option, question, required

_QUESTIONS = {
    "--half-width": ("--half-width", "--rate", "--method", "--confidence", "--alpha"),
    "--floor": ("--floor", "--true-rate", "--power", "--confidence", "--alpha"),
    "--ceiling": ("--ceiling", "--true-rate", "--power", "--confidence", "--alpha"),
    "--margin": ("--margin", "--discordance", "--true-difference", "--power", "--confidence", "--alpha"),
}


def size(
    *,
    rate: Annotated[float | None, option("--rate", "Display: expected rate.")] = None,
    half_width: Annotated[
        float | None, option("--half-width", "Display: wanted half of the two-sided interval's width.")
    ] = None,
    method: Annotated[
        ProportionMethodName | None, option("--method", "Display: interval that will be used; default wilson.")
    ] = None,
    floor: Annotated[float | None, option("--floor", "Limit: the rate is to be proved at least this.")] = None,
    ceiling: Annotated[float | None, option("--ceiling", "Limit: the rate is to be proved at most this.")] = None,
    true_rate: Annotated[float | None, option("--true-rate", "Limit: what the rate really is.")] = None,
    margin: Annotated[
        float | None, option("--margin", "Pairs: the candidate is to be proved at most this much worse.")
    ] = None,
    discordance: Annotated[
        float | None, option("--discordance", "Pairs: share of prompts on which the models disagree.")
    ] = None,
    true_difference: Annotated[
        float | None, option("--true-difference", "Pairs: candidate minus incumbent in truth; default 0.")
    ] = None,
    power: Annotated[float | None, option("--power", "Limit, pairs: wanted chance to prove it; default 0.8.")] = None,
    confidence: Annotated[
        float | None, option("--confidence", "Of the interval (two-sided for display, else one-sided); default 0.95.")
    ] = None,
    alpha: Annotated[float | None, option("--alpha", "1 - confidence, instead of it.")] = None,
    as_json: Json = False,
) -> None:
    """How many observations: --rate --half-width, or --floor/--ceiling --true-rate, or --margin --discordance.

    Sizes are those of the interval that will be used: Wilson's width, the exact power of the Clopper-Pearson bound,
    the power of Tango's paired bound. The textbook's first approximation is shown beside them.
    """
    given = {
        "--rate": rate,
        "--half-width": half_width,
        "--method": method,
        "--floor": floor,
        "--ceiling": ceiling,
        "--true-rate": true_rate,
        "--margin": margin,
        "--discordance": discordance,
        "--true-difference": true_difference,
        "--power": power,
        "--confidence": confidence,
        "--alpha": alpha,
    }
    with question("size"):
        asked = _asked(given)
        if confidence is not None and alpha is not None:
            raise InputError("--confidence and --alpha say the same thing", do="give one of them")
        # Rounded because 1 - 0.95 is not 0.05 in binary.
        level = confidence if confidence is not None else 0.95 if alpha is None else 1 - alpha
        tail = alpha if alpha is not None else round(1 - level, 15)
        if asked == "--half-width":
            wanted = required(asked, "--rate", rate)
            found = _for_width(wanted, required("--rate", asked, half_width), level, method or "wilson")
        elif asked == "--margin":
            psi = required(asked, "--discordance", discordance)
            found = _for_margin(required("--discordance", asked, margin), psi, true_difference or 0.0, tail, power)
        else:
            limit = floor if floor is not None else ceiling
            truth = required(asked, "--true-rate", true_rate)
            found = _for_limit(required("--true-rate", asked, limit), truth, asked, tail, power)
    document = {
        "value": found["n"],
        "low": None,
        "high": None,
        "confidence": level,
        "note": None,
        "alpha": tail,
        "question": asked.removeprefix("--"),
        **found,
    }
    sentence = document.pop("sentence")
    if as_json:
        emit(document)
        return
    console = stdout()
    line(console, f"n = {document['n']}: {sentence}")
    line(console, f"The textbook's first approximation is {document['textbook_n']}.")


def _asked(given: dict[str, Any]) -> str:
    """The one question that is asked."""
    asked = [name for name in _QUESTIONS if given[name] is not None]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are different questions", do="ask one at a time")
    if not asked:
        raise InputError(
            "nothing to be sized",
            do="give --rate and --half-width, or --floor or --ceiling with --true-rate, or --margin and --discordance",
        )
    only(asked[0], _QUESTIONS[asked[0]], given)
    return asked[0]


def _for_width(rate: float, half_width: float, confidence: float, method: ProportionMethodName) -> dict[str, Any]:
    from evalharness.statistics.proportions import proportion_interval
    from evalharness.statistics.sizing import size_for_half_width, textbook_size
    from pipelines.cli.stats.showing import percent, points

    n = size_for_half_width(rate, half_width, confidence=confidence, method=method)
    expected = proportion_interval(rate * n, n, confidence=confidence, method=method)
    low, high = expected.low or 0.0, 1.0 if expected.high is None else expected.high
    return {
        "n": n,
        "method": method,
        "achieved_power": None,
        "achieved_half_width": (high - low) / 2,
        "textbook_n": textbook_size(rate, half_width, confidence),
        "sentence": f"at a rate of {percent(rate)} the two-sided {100 * confidence:g} % interval ({method}) then runs "
        f"from {percent(low)} to {percent(high)}, {points((high - low) / 2)} to either side.".replace("+", ""),
    }


def _for_limit(limit: float, true_rate: float, asked: str, alpha: float, power: float | None) -> dict[str, Any]:
    from evalharness.statistics.sizing import power_for_limit, size_for_limit
    from evalharness.statistics.textbook import textbook_size_for_limit
    from pipelines.cli.stats.showing import percent

    wanted = 0.8 if power is None else power
    _within_reach(limit, asked, alpha, wanted)
    direction: Literal["floor", "ceiling"] = "floor" if asked == "--floor" else "ceiling"
    n = size_for_limit(limit, true_rate, direction=direction, alpha=alpha, power=wanted)
    achieved = power_for_limit(n, limit, true_rate, direction=direction, alpha=alpha)
    return {
        "n": n,
        "method": "clopper-pearson",
        "power": wanted,
        "achieved_power": achieved,
        "textbook_n": textbook_size_for_limit(limit, true_rate, alpha=alpha, power=wanted),
        "sentence": f"at a true rate of {percent(true_rate)} the {direction} of {percent(limit)} is then proved with "
        f"probability {achieved:.3g} (one-sided {100 * (1 - alpha):g} % Clopper-Pearson bound), wanted {wanted:g}.",
    }


def _for_margin(
    margin: float, discordance: float, difference: float, alpha: float, power: float | None
) -> dict[str, Any]:
    from evalharness.statistics.sizing import power_for_margin, size_for_margin
    from evalharness.statistics.textbook import textbook_size_for_margin
    from pipelines.cli.stats.showing import percent, points

    wanted = 0.8 if power is None else power
    _within_reach(margin, "--margin", alpha, wanted)
    n = size_for_margin(margin, discordance, true_difference=difference, alpha=alpha, power=wanted)
    achieved = power_for_margin(n, margin, discordance, true_difference=difference, alpha=alpha)
    return {
        "n": n,
        "method": "tango",
        "power": wanted,
        "achieved_power": achieved,
        "textbook_n": textbook_size_for_margin(
            margin, discordance, true_difference=difference, alpha=alpha, power=wanted
        ),
        "sentence": f"a candidate that differs on {percent(discordance)} of the prompts and by {points(difference)} in "
        f"all is then proved at most {points(margin).removeprefix('+')} worse with probability {achieved:.3g} "
        f"(one-sided {100 * (1 - alpha):g} % Tango bound), wanted {wanted:g}.",
    }


def _within_reach(limit: float, name: str, alpha: float, power: float) -> None:
    """Refuse what no number of observations can show, or nobody plans for."""
    bounds = ((name, limit, 1e-7, 1 - 1e-7), ("alpha", alpha, 1e-6, 0.5), ("--power", power, 0.01, 1 - 1e-6))
    for what, number, least, most in bounds:
        if not least <= number <= most:
            raise InputError(f"{what} must lie between {least:g} and {most:.7g}, got {number}", do="write 1 % as 0.01")
