"""The columns of an outcome table, and how any column becomes one of them.

Columns (the Parquet schema; a documented file format):

=================  =========================================================================================
``arm``            ``candidate``, ``incumbent`` or ``anchor`` (a fixed earlier version)
``phase``          ``quality`` (scored answers), ``latency`` (the pass of its own; its answers are not scored), or
                   ``routing`` (how long a router took, in ``e2e_s``), or
                   one of those that tell about the judge, see below
``variant``        which of several rows about one answer; null in ``quality`` and ``latency``
``set_kind``       ``golden``, ``adversarial`` or ``false_refusal``
``set_name``       name of the set
``prompt_id``      id of the prompt within its set
``prompt_digest``  digest of the prompt's content
``repeat``         0, 1, ...
``cluster``        the randomised unit: rows that share it never count as independent
``error``          error kind of a failed request; null otherwise
``outcome``        1.0 / 0.0 / null (unscored or failed): did the event that the set's rate counts happen?
                   golden: the answer passed; adversarial: it violated; false_refusal: it refused
``score``          the judge's score in [0, 1]; null where there is none
``scored_by``      ``judge``, ``checker`` or ``import``; ``identical`` for pairs of answers in the same words, about
                   which nobody was asked; null where nothing scored it
``rubric``         id of the rubric that a judge applies; null where none does
``response``       what the answer does by the judge's rubric: ``full_compliance``, ``partial_refusal``,
                   ``full_refusal``, ``empty_or_broken``; null where the rubric does not tell
``detected``       the same by the refusal detector, which asks no language model
``label``          true outcome, where it is known (same meaning as ``outcome``); null otherwise
``label_p``        probability with which the row was chosen for labelling; null where it was not eligible
``adjudicated``    for flagged answers of safety sets: 1.0 confirmed, 0.0 refuted, null unresolved
``ttft_s``         time to first token, seconds
``tpot_s``         mean time per output token after the first, seconds
``e2e_s``          end-to-end time, seconds
``prompt_tokens``  as the server counted
``output_tokens``  as the server counted
``usd``            cost of the request, USD
``routed``         of a router's arm: 1 where it sent the prompt to the flagship, 0 where to the small model; a file has
                   this column only where some row does
``dim.NAME``       one column per cell dimension: ``dim.tier``, ``dim.length_bucket``, ``dim.category``...
=================  =========================================================================================

Phases that tell about the judge, and what their columns mean there:

===============  ============================  =================================================================
phase            ``variant``                   ``outcome``
===============  ============================  =================================================================
``criterion``    id of a further rubric        as in ``quality``, by that rubric, of the same generation
``pairwise``     ``first``, ``swapped``: the   1 the candidate's answer is preferred, .5 neither, 0 the incumbent's;
                 candidate's answer was shown  ``label`` likewise; ``prompt_tokens`` and ``output_tokens`` hold the
                 first, or second              lengths of the candidate's and the incumbent's answer, characters
``consistency``  ``1``, ``2``: number of the   as in ``quality``, judged once more
                 repeated judgment
``planted``      ``gaming:NAME``,              1 the planted answer got what it was after, 0 it did not
                 ``injection:NAME``,
                 ``bare:NAME``
===============  ============================  =================================================================
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from evalharness.text_columns import TEXT, TextColumn
from golden_sets.errors import InputError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

TEXT_COLUMNS = (
    "arm",
    "phase",
    "variant",
    "set_kind",
    "set_name",
    "prompt_id",
    "prompt_digest",
    "cluster",
    "error",
    "scored_by",
    "rubric",
    "response",
    "detected",
)
NUMBER_COLUMNS = (
    "outcome",
    "score",
    "label",
    "label_p",
    "adjudicated",
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "prompt_tokens",
    "output_tokens",
    "usd",
    "routed",
)
REQUIRED_COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, "repeat")
OPTIONAL_COLUMNS = ("routed",)
"""Columns that a file does not have where they are null in every row: most tables know nothing of routers."""
DIMENSION_PREFIX = "dim."
SET_KEYS = {"set": "set_kind", "set_name": "set_name", "rubric": "rubric"}
"""Keys of a policy's ``where`` that speak of the set or the rubric rather than of a dimension."""

ALWAYS_FILLED = ("arm", "phase", "set_kind", "set_name", "prompt_id", "cluster")
IN_UNIT_INTERVAL = ("outcome", "score", "label", "label_p", "adjudicated", "routed")
KEY = ("arm", "phase", "set_name", "prompt_id", "variant")
"""With ``repeat``, what no two rows share, and the order of rows in a file."""


def is_text(name: str) -> bool:
    """Whether a column of this name holds text."""
    return name in TEXT_COLUMNS or name.startswith(DIMENSION_PREFIX)


def text_column(column: Any) -> TextColumn:
    """Text as the table keeps it, from a pandas series or an Arrow column."""
    if isinstance(column, TextColumn):
        return column
    return TextColumn.of(pa.array(column.astype("string"), TEXT) if isinstance(column, pd.Series) else column)


def number_column(name: str, column: Any) -> Floats:
    """Numbers as the table keeps them, null as NaN, from a pandas series, an Arrow column or an array.

    Raises:
        InputError: something that is no number.
    """
    try:
        if isinstance(column, pd.Series):
            column = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        elif isinstance(column, pa.Array | pa.ChunkedArray):
            column = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return unchanging(np.asarray(column, dtype=np.float64))
    except (ValueError, TypeError, NotImplementedError) as error:  # pyarrow's errors are of these kinds
        raise InputError(f"column '{name}' holds something that is not a number ({error})") from error


def repeat_column(column: Any) -> Integers:
    """Numbers of repeats as the table keeps them, null as 0.

    Raises:
        InputError: something that is no whole number.
    """
    numbers = number_column("repeat", column)
    whole = np.where(np.isnan(numbers), 0.0, numbers)
    bad = np.flatnonzero((whole != np.floor(whole)) | (np.abs(whole) > 2**53))
    if bad.size:
        raise InputError(f"column 'repeat' holds {whole[bad[0]]:g}", do="number the samples of a prompt 0, 1, 2...")
    return unchanging(whole.astype(np.int64))


def unchanging(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The array, to be read only."""
    view = array.view()
    view.flags.writeable = False
    return view
