"""Clique trees of chordal extensions of sparsity patterns."""

from dataclasses import dataclass

import numpy as np

from solvers.array import Places


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Cliques that cover every entry of a pattern.

    Args:
        cliques: sorted vertices of each; what a clique shares with all before it, it shares with
            one of them (the running intersection property).
    """

    cliques: tuple[Places, ...]


def clique_tree(order: int, rows: Places, columns: Places) -> Tree:
    """Of the graph on `order` vertices whose edges are the entries (rows, columns).

    Vertices are eliminated by least degree, which fills the graph to a chordal one; its maximal
    cliques are joined by a spanning tree of largest overlaps, and neighbours merged where one
    matrix costs no more than two (cubes of the sizes).

    Source:
        L. Vandenberghe, M. Andersen, Chordal graphs and semidefinite optimization, Foundations and
        Trends in Optimization 1 (2015), sec. 3 and 4.
    """
    beside: list[set[int]] = [set() for _ in range(order)]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if row != column:
            beside[row].add(column)
            beside[column].add(row)
    return _tree(_merged(_maximal(_eliminated(beside))))


def _eliminated(beside: list[set[int]]) -> list[frozenset[int]]:
    """Every vertex with its neighbours at the time it is eliminated."""
    left, found = set(range(len(beside))), list[frozenset[int]]()
    while left:
        vertex = min(left, key=lambda v: (len(beside[v]), v))
        near = beside[vertex]
        found.append(frozenset({vertex, *near}))
        for other in near:
            beside[other] |= near
            beside[other] -= {other, vertex}
        left.remove(vertex)
    return found


def _maximal(cliques: list[frozenset[int]]) -> list[frozenset[int]]:
    """Those that no other contains."""
    kept: list[frozenset[int]] = []
    for clique in sorted(cliques, key=len, reverse=True):
        if not any(clique <= other for other in kept):
            kept.append(clique)
    return kept


def _merged(cliques: list[frozenset[int]]) -> list[frozenset[int]]:
    """Children joined with their parents, leaves first, while that is no dearer."""
    links = _links(cliques)
    parent, whole = dict(links), dict(enumerate(cliques))
    for child, _ in reversed(links):
        above = parent[child]
        first, second = whole[child], whole[above]
        if len(first | second) ** 3 <= len(first) ** 3 + len(second) ** 3:
            whole[above] = first | second
            del whole[child]
            parent.update({c: above for c, p in parent.items() if p == child})
    return list(whole.values())


def _links(cliques: list[frozenset[int]]) -> list[tuple[int, int]]:
    """Every clique but the first with its parent, parents first: Prim, by largest overlap."""
    links: list[tuple[int, int]] = []
    overlap = {i: (len(cliques[i] & cliques[0]), 0) for i in range(1, len(cliques))}
    while overlap:
        child = max(overlap, key=lambda i: (overlap[i][0], -i))
        links.append((child, overlap.pop(child)[1]))
        for other, (size, _) in overlap.items():
            shared = len(cliques[other] & cliques[child])
            if shared > size:
                overlap[other] = (shared, child)
    return links


def _tree(cliques: list[frozenset[int]]) -> Tree:
    order = [0, *(child for child, _ in _links(cliques))]
    return Tree(tuple(np.array(sorted(cliques[i]), np.intp) for i in order))
