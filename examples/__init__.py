"""What ``make demo`` runs: small real models, their suite and the code that makes both."""
