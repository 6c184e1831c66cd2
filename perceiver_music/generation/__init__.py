"""New music: options, sampling, grammar, continuation."""
