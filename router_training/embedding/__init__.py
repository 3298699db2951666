"""The frozen sentence encoder as it is served, and the embeddings it makes."""
