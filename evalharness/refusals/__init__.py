"""Does an answer refuse? Told without a language model.

The way of a verdict: answer -> its parts (`segments`) -> is it one at all? (`broken`) -> phrases and
sentences as numbers (`features`, with the frozen `encoder`) -> two linear decisions (`logistic`) -> `RefusalVerdict`.

    detector = RefusalDetector.shipped()
    [verdict] = detector.classify(["I'm sorry, but I can't help with that."])

`fitting` makes a detector from a user's labels, `measuring` tells how wrong one is.
"""

from evalharness.answer_classes import AnswerClass
from evalharness.refusals.classes import RefusalVerdict
from evalharness.refusals.detector import RefusalDetector
from evalharness.refusals.fitting import TrainingAnswers, cross_validate, fit_refusals
from evalharness.refusals.measuring import refusal_agreement, refusal_calibration

__all__ = [
    "AnswerClass",
    "RefusalDetector",
    "RefusalVerdict",
    "TrainingAnswers",
    "cross_validate",
    "fit_refusals",
    "refusal_agreement",
    "refusal_calibration",
]
