"""Large sparse positive semidefinite blocks as several small dense ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from scipy.sparse import hstack, vstack

from solvers.array import Dense, Mask, Places, Sparse, Vector, sparse
from solvers.candidate import Candidate
from solvers.cones import Cone, Psd
from solvers.program import ConicProgram
from solvers.transforms.base import Transformed
from solvers.transforms.cliques import Tree, clique_tree

NOISE = 1e-6  # relative: smaller eigenvalues of a solved matrix are errors of the solver


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block that is decomposed.

    Args:
        cone: as it was.
        rows: of the program it came from.
        tree: its cliques, each after its parent.
        owned: packed places of the block, clique after clique.
        owns: per packed entry of every clique, whether it carries the block's own entry.
    """

    cone: Psd
    rows: slice
    tree: Tree
    owned: Places
    owns: Mask


@final
@dataclass(frozen=True, slots=True, eq=False)
class Decomposed(Transformed):
    """A sum of positive semidefinite matrices on cliques stands for each sparse block."""

    program: ConicProgram
    origin: ConicProgram
    blocks: tuple[_Block | slice, ...]

    def lift(self, candidate: Candidate) -> Candidate:
        """The leading variables; z completed to a positive semidefinite matrix."""
        x, z = candidate.x, candidate.z
        return replace(
            candidate,
            x=None if x is None else x[: self.origin.variables],
            z=None if z is None else self._completed(z),
        )

    def _completed(self, z: Vector) -> Vector:
        parts, first = [z[:0]], 0
        for block in self.blocks:
            if isinstance(block, slice):
                size = block.stop - block.start
                parts.append(z[first : first + size])
            else:
                size = block.owned.size
                parts.append(_completion(block, z[first : first + size]))
            first += size
        return np.concatenate(parts)


def apply(program: ConicProgram) -> Decomposed:
    """Every block whose pattern of entries has a clique tree of more than one clique, decomposed.

    An entry that several cliques share is the sum of theirs; all but one of them become variables.
    The optimum stays the same.

    Source:
        J. Agler, W. Helton, S. McCullough, L. Rodman, Positive semidefinite matrices with a given
        sparsity pattern, Linear Algebra Appl. 107 (1988); Y. Zheng et al., Chordal decomposition
        in operator-splitting methods for sparse semidefinite programs, Math. Program. 180 (2020).
    """
    parts = [_decomposed(program, cone, rows) for cone, rows in program.blocks()]
    cones: list[Cone] = []
    for (cone, _), part in zip(program.blocks(), parts, strict=True):
        cones += [cone] if isinstance(part, slice) else [Psd(len(c)) for c in part.tree.cliques]
    A, b = _rows(program, parts)
    added = A.shape[1] - program.variables
    return Decomposed(
        ConicProgram(np.concatenate([program.c, np.zeros(added)]), A, b, tuple(cones)),
        program,
        tuple(parts),
    )


def _decomposed(program: ConicProgram, cone: Cone, rows: slice) -> _Block | slice:
    """The block's rows where there is nothing to decompose."""
    if not isinstance(cone, Psd):
        return rows
    used = (np.diff(program.A.tocsr()[rows].indptr) > 0) | (program.b[rows] != 0)
    row, column = cone.places()
    tree = clique_tree(cone.order, row[used], column[used])
    if len(tree.cliques) == 1:
        return rows
    owned = np.concatenate([_packed(cone.order, clique) for clique in tree.cliques])
    owns = np.zeros(owned.size, np.bool_)
    owns[np.unique(owned, return_index=True)[1]] = True
    return _Block(cone, rows, tree, owned, owns)


def _packed(order: int, clique: Places) -> Places:
    """Places in the block's packing of the clique's packed entries; cliques are sorted."""
    row, column = (clique[places] for places in Psd(len(clique)).places())
    return column * order - column * (column - 1) // 2 + row - column


def _rows(program: ConicProgram, parts: list[_Block | slice]) -> tuple[Sparse, Vector]:
    """A and b of the decomposed program: owners carry the rows, the others are variables."""
    given = program.A.tocsr()
    matrices, numbers, shared = [given[:0]], [program.b[:0]], [sparse(np.zeros((0, 0)))]
    for part in parts:
        if isinstance(part, slice):
            matrices.append(given[part])
            numbers.append(program.b[part])
            shared.append(sparse(np.zeros((part.stop - part.start, 0))))
            continue
        own = sparse((part.owns.astype(np.float64), (np.arange(part.owned.size), part.owned)),
                     (part.owned.size, part.cone.rows))  # fmt: skip
        matrices.append(own @ given[part.rows])
        numbers.append(own @ program.b[part.rows])
        shared.append(_shared(part))
    return sparse(hstack([vstack(matrices), _diagonal(shared)])), np.concatenate(numbers)


def _shared(block: _Block) -> Sparse:
    """What variables of shared entries add: plus one to the owner, minus one to their clique."""
    extra = np.flatnonzero(~block.owns)
    owner = np.empty(block.cone.rows, np.intp)
    owner[block.owned[block.owns]] = np.flatnonzero(block.owns)
    variable = np.arange(extra.size)
    return sparse(
        (
            np.concatenate([np.ones(extra.size), -np.ones(extra.size)]),
            (np.concatenate([owner[block.owned[extra]], extra]), np.tile(variable, 2)),
        ),
        (block.owned.size, extra.size),
    )


def _diagonal(parts: list[Sparse]) -> Sparse:
    """Matrices one below and beside the other, those without columns too."""
    rows = np.cumsum([0, *(part.shape[0] for part in parts)])
    columns = np.cumsum([0, *(part.shape[1] for part in parts)])
    entries = [part.tocoo() for part in parts]
    row = np.concatenate([e.coords[0] + first for e, first in zip(entries, rows, strict=False)])
    column = np.concatenate(
        [e.coords[1] + first for e, first in zip(entries, columns, strict=False)]
    )
    value = np.concatenate([e.data for e in entries])
    return sparse((value, (row, column)), (int(rows[-1]), int(columns[-1])))


def _completion(block: _Block, z: Vector) -> Vector:
    """The packed matrix of largest determinant that agrees with the cliques' matrices."""
    matrix = np.zeros((block.cone.order, block.cone.order))
    done = np.zeros(block.cone.order, np.bool_)
    for clique, part in _matrices(block, z):
        fresh, joint = clique[~done[clique]], clique[done[clique]]
        others = np.setdiff1d(np.flatnonzero(done), joint)
        matrix[np.ix_(clique, clique)] = part
        if joint.size and others.size:
            through = matrix[np.ix_(fresh, joint)] @ np.linalg.pinv(
                matrix[np.ix_(joint, joint)], rcond=NOISE, hermitian=True
            )
            beside = through @ matrix[np.ix_(joint, others)]
            matrix[np.ix_(fresh, others)] = beside
            matrix[np.ix_(others, fresh)] = beside.T
        done[clique] = True
    return block.cone.pack(matrix)


def _matrices(block: _Block, z: Vector) -> Iterator[tuple[Places, Dense]]:
    """Every clique with its part of z."""
    first = 0
    for clique in block.tree.cliques:
        cone = Psd(len(clique))
        yield clique, cone.unpack(z[first : first + cone.rows])
        first += cone.rows
