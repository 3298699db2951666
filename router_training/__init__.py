"""Floor 3: who should answer. The router's labels, heads, calibration and validation live here."""
