"""Makes the demo: task generators, prompt sets, tiny models, their judge and their model cards."""
