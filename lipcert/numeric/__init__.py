"""Floating-point facts: rounding, norms and placement."""
