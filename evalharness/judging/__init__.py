"""Judging: a language model as an instrument whose error is measured.

The way of a verdict: rubric + prompt + answer -> message (`prompting`; two answers: `pair_prompting`) -> request in some
form (`requesting`, `structured`) -> judge's output (`asking`, used by `pointwise` and `pairwise`) -> score (`parsing`,
`structured`) -> ``Judgment``, or one of several judges (`panel`). Its error: labelled subsample (`labelling`) and control answers (`controls`) ->
``Calibration`` (`calibration`).
"""
