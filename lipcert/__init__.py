"""Proved bounds on how far a compressed neural network drifts from its original."""
