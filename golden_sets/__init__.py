"""Floor 1: what is asked. Prompts, prompt sets, their digests, validation and reading."""
