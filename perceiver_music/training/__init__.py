"""The training loop, its settings, state and processes."""
