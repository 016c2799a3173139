"""Equivalent programs that are easier to solve, one kind per file: `apply` and `lift`.

Nothing of them is trusted: a lifted candidate is bracketed on the program it came from.
"""
