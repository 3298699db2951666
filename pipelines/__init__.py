"""Floor 4: the compositions and the command line: plan, eval, gate, release, demo."""
