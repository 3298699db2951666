"""The command line: one module per command, exit codes and JSON as documented in ``docs/command-line.md``."""

from pipelines.cli.app import main

__all__ = ["main"]
