"""Floor 3: may it ship. Policies, checks, decisions, the registry and the reports."""
