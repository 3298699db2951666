"""The ``relgate`` command: its sub-commands, and how errors become messages and exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer
from typer import _click as click

from golden_sets.errors import RelgateError
from pipelines.cli import (
    demo,
    evaluate,
    gating,
    importing,
    init,
    judge,
    planning,
    registry,
    releasing,
    reporting,
    router,
    sets,
    simulating,
    stats,
)
from pipelines.cli.output import INTERRUPTED, UNEXPECTED, fail

HELP = """Eval-gated releases for language models: plan, run, judge, decide, record.

Exit codes: 0 promoted or done, 1 blocked, 2 bad usage or input, 3 inconclusive, 4 infrastructure failed,
5 passed and awaiting signatures."""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.init)
app.command("plan")(planning.plan)
app.command("eval")(evaluate.evaluate)
app.command("gate")(gating.gate)
app.command("simulate")(simulating.simulate)
app.command("release")(releasing.release)
app.command("report")(reporting.report)
app.command("demo")(demo.demo)
app.add_typer(sets.app, name="sets")
app.add_typer(importing.app, name="import")
app.add_typer(judge.app, name="judge")
app.add_typer(router.app, name="router")
app.add_typer(registry.app, name="registry")
app.add_typer(stats.app, name="stats")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def _command(error: click.ClickException) -> str:
    """The command whose help would have told."""
    context: click.Context | None = getattr(error, "ctx", None)
    return "relgate" if context is None else context.command_path


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code instead of exiting."""
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name="relgate", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError:  # the help is printed when it is made
        return 0
    except click.ClickException as error:
        return fail(error.format_message(), as_json=as_json, code=2, do=f"see '{_command(error)} --help'")
    except RelgateError as error:
        return fail(error.what, as_json=as_json, code=error.exit_code, where=error.where, do=error.do)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        return UNEXPECTED
    except Exception as error:  # noqa: BLE001 - the last resort: never Python's own exit code 1
        traceback.print_exc()
        return fail(f"unexpected {type(error).__name__}: {error}", as_json=as_json, code=UNEXPECTED)
    if code == INTERRUPTED:
        return fail("interrupted", as_json=as_json, code=INTERRUPTED, do="run it again: what was finished is kept")
    return code if isinstance(code, int) else 0
