"""Piano music with a Perceiver AR: prepare, train, evaluate, continue, compose, render.

Importing this package loads nothing heavy; every subpackage is imported where it is used.
"""

__version__ = "0.1.0"
