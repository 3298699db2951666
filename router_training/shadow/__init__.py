"""The router beside live traffic: sampled replays, drift, alerts."""
