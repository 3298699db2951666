"""Signatures: Ed25519 keys, DSSE envelopes, and the in-toto statements that people sign."""
