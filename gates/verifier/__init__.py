"""The verifier: what a reader must trust to check a release; it needs no database."""
