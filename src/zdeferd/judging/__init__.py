"""The outcome of an attempt, judged from its folder."""
