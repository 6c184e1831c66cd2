"""Decoding of Perceiver AR on the processor without torch: a small C library and its weights."""
