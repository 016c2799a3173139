"""Folding rules over a graph: batched, chunked to memory, on CPU or GPU."""
