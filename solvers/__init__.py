"""Convex optimisation only: conic programs, candidates and proved brackets."""
