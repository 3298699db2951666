"""Statistics a release can rest on: pure functions on numbers, no I/O, each naming its source.

Every interval function returns an `Interval`; a bound that cannot be given is None and the note says why.
"""

from evalharness.spending import Spending
from evalharness.statistics.agreement import clustered_kappa_interval, cohen_kappa, kappa_interval
from evalharness.statistics.bounded_mean import betting_p_value
from evalharness.statistics.clustered import (
    clustered_mean_interval,
    clustered_paired_interval,
    clustered_paired_p_value,
    clustered_proportion_interval,
    effective_sample_size,
)
from evalharness.statistics.confidence_sequences import (
    MeanSequence,
    SequenceBounds,
    SequenceMethod,
    mean_sequence,
    mean_sequence_interval,
    paired_sequence_interval,
)
from evalharness.statistics.corrected import corrected_rate_bound, corrected_rate_interval, youden_lower
from evalharness.statistics.fleiss import fleiss_kappa, fleiss_kappa_interval, pairwise_agreement_interval
from evalharness.statistics.interval import Interval, OneSide, Side
from evalharness.statistics.multiplicity import holm, p_value_by_inversion
from evalharness.statistics.paired import PairedMethod, paired_bound, paired_interval, paired_p_value
from evalharness.statistics.paired_tables import paired_p_values
from evalharness.statistics.prediction_powered import ppi_mean_interval, ppi_paired_interval, ppi_rate_interval
from evalharness.statistics.prediction_powered_tables import ppi_paired_bound
from evalharness.statistics.proportions import (
    ProportionMethod,
    proportion_interval,
    proportion_lower,
    proportion_upper,
)
from evalharness.statistics.quantiles import quantile_interval, quantile_n_for_bound, quantile_ranks
from evalharness.statistics.ratios import log_ratio_interval, ratio_of_sums_interval
from evalharness.statistics.sequential import (
    Boundaries,
    Crossing,
    boundaries,
    crossing,
    drift_for_power,
    inflation,
    spending,
)
from evalharness.statistics.sequential_design import (
    BinomialPath,
    SequentialDesign,
    binomial_path,
    design_sequence,
    floor_counts,
)
from evalharness.statistics.sequential_levels import design_for, look_alphas, overall_level
from evalharness.statistics.sizing import (
    Direction,
    limit_at_looks,
    power_for_limit,
    power_for_limit_at_looks,
    power_for_margin,
    powers_for_limit,
    powers_for_margin,
    size_for_half_width,
    size_for_limit,
    size_for_margin,
    textbook_size,
)
from evalharness.statistics.sizing_judged import (
    labels_for_limit,
    labels_for_margin,
    power_for_judged_limit,
    power_for_judged_margin,
)
from evalharness.statistics.sizing_own_labels import labels_for_labelled_limit, power_for_labelled_limit
from evalharness.statistics.tango import paired_lower, paired_upper, tango_z
from evalharness.statistics.violations import violation_lower, violation_upper, violation_upper_bound

__all__ = [
    "BinomialPath",
    "Boundaries",
    "Crossing",
    "Direction",
    "Interval",
    "MeanSequence",
    "OneSide",
    "PairedMethod",
    "ProportionMethod",
    "SequenceBounds",
    "SequenceMethod",
    "SequentialDesign",
    "Side",
    "Spending",
    "betting_p_value",
    "binomial_path",
    "boundaries",
    "clustered_kappa_interval",
    "clustered_mean_interval",
    "clustered_paired_interval",
    "clustered_paired_p_value",
    "clustered_proportion_interval",
    "cohen_kappa",
    "corrected_rate_bound",
    "corrected_rate_interval",
    "crossing",
    "design_for",
    "design_sequence",
    "drift_for_power",
    "effective_sample_size",
    "fleiss_kappa",
    "fleiss_kappa_interval",
    "floor_counts",
    "holm",
    "inflation",
    "kappa_interval",
    "labels_for_labelled_limit",
    "labels_for_limit",
    "labels_for_margin",
    "limit_at_looks",
    "log_ratio_interval",
    "look_alphas",
    "mean_sequence",
    "mean_sequence_interval",
    "overall_level",
    "p_value_by_inversion",
    "paired_bound",
    "paired_interval",
    "paired_lower",
    "paired_p_value",
    "paired_p_values",
    "paired_sequence_interval",
    "paired_upper",
    "pairwise_agreement_interval",
    "power_for_judged_limit",
    "power_for_judged_margin",
    "power_for_labelled_limit",
    "power_for_limit",
    "power_for_limit_at_looks",
    "power_for_margin",
    "powers_for_limit",
    "powers_for_margin",
    "ppi_mean_interval",
    "ppi_paired_bound",
    "ppi_paired_interval",
    "ppi_rate_interval",
    "proportion_interval",
    "proportion_lower",
    "proportion_upper",
    "quantile_interval",
    "quantile_n_for_bound",
    "quantile_ranks",
    "ratio_of_sums_interval",
    "size_for_half_width",
    "size_for_limit",
    "size_for_margin",
    "spending",
    "tango_z",
    "textbook_size",
    "violation_lower",
    "violation_upper",
    "violation_upper_bound",
    "youden_lower",
]
