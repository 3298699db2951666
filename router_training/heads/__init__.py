"""Shallow heads on frozen embeddings."""
