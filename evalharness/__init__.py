"""Floor 2: how good it is. Candidates, engines, generation, judging, samples, evidence and statistics."""
