"""The answers that the shipped refusal detector is made from, all written for relgate, and the code that does it."""
