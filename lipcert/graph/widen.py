"""Pruned channels restored as zero rows: the same function at the original's shapes."""

from lipcert.graph.layer_graph import LayerGraph


def widened(original: LayerGraph, compressed: LayerGraph) -> LayerGraph:
    """For now the compressed network itself."""
    return compressed
