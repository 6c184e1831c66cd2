"""What music is worth: its likelihood, its figures, what it shares with what was learned."""
