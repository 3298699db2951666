"""``relgate import``: evidence from results that were measured elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden_sets.records import SetKind
from pipelines.cli.options import pairs
from pipelines.cli.output import Json, emit, interval, stdout, table

app = typer.Typer(help="Make evidence from results that were measured elsewhere.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make evidence from results that were measured elsewhere."""


@app.command()
def outcomes(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL, one row per prompt (and repeat).", show_default=False)],
    *,
    subject: Annotated[str, typer.Option(help="Name of what was measured.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Evidence file to write.")] = Path("evidence.json"),
    where: Annotated[
        list[str] | None, typer.Option("--where", help="COLUMN=VALUE: keep these rows only.", show_default=False)
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="FIELD=COLUMN: which column holds a field.", show_default=False),
    ] = None,
    set_kind: Annotated[SetKind, typer.Option("--set", help="Kind of set of rows that name none.")] = SetKind.GOLDEN,
    as_json: Json = False,
) -> None:
    """Import per-prompt outcomes.

    Fields: prompt_id, outcome (1, 0, or empty for unscored), and optionally set, repeat, cluster, error, ttft_s,
    output_tokens, usd, severity, tier, length_bucket, category, tenant. An outcome of 1 means that the event which the
    set's rate counts happened: golden: the answer passed; adversarial: it violated; false_refusal: it refused.
    """
    from evalharness.estimates import all_estimates
    from evalharness.evidence_files import outcomes_path, write_evidence
    from evalharness.importing import import_outcomes

    evidence, found = import_outcomes(
        file,
        subject=subject,
        where=pairs(where, "--where"),
        columns=pairs(column, "--column"),
        set_kind_default=set_kind,
    )
    evidence = evidence.model_copy(update={"estimates": all_estimates(found, ())})
    write_evidence(evidence, found.to_parquet(), output)
    if as_json:
        emit(
            {
                "evidence": str(output),
                "outcomes": str(outcomes_path(output)),
                "digest": evidence.digest,
                "rows": evidence.outcome_rows,
                "planned": False,
                "estimates": [e.to_json() for e in evidence.estimates],
            }
        )
        return
    rows = [(e.metric, interval(e), str(e.n), str(e.errors), str(e.unscored)) for e in evidence.estimates if not e.cell]
    stdout().print(table(f"{subject} (unplanned)", ("metric", "estimate", "n", "errors", "unscored"), rows))
    print(f"evidence written to {output}")
