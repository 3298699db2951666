"""Judging: a language model as an instrument whose error is measured.

The way of a verdict: rubric + prompt + answer -> message (`prompting`) -> judge's output (`pointwise`) -> score
(`parsing`) -> ``Judgment``. Its error: labelled subsample (`labelling`) and control answers (`controls`) ->
``Calibration`` (`calibration`).
"""
