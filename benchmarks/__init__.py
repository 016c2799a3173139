"""Benchmarks: how tight the bounds are, and what they take, beside a peer."""
