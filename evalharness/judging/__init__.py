"""Judging: a language model as an instrument whose error is measured.

The way of a verdict: rubric + prompt + answer -> message (`prompting`, `pair_prompting`) -> request (`requesting`,
`structured`) -> output (`asking`, for `pointwise` and `pairwise`) -> score (`parsing`, `structured`) -> ``Judgment``;
several judges vote (`panel`). Its error: labelled subsample (`labelling`) and control answers (`controls`) ->
``Calibration`` (`calibration`).
"""
