"""``python -m pipelines.cli`` is ``relgate``."""

from pipelines.cli.app import main

main()
