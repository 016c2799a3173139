r"""What is known of every point: a ball, and products of two affine forms that are not negative.

A point is $\xi = (1, x, u)$ with $\|x\| \le r$. For multipliers $\mu, \lambda_j \ge 0$ and any
forms $p_j, q_j$ with $p_j(\xi) q_j(\xi) \ge 0$ at all points,

$\gamma - \mu (r^2 - \|x\|^2) - \sum_j \lambda_j p_j q_j - \sum_g p_g q_g \ge 0$ for all vectors

proves that the goal $\sum_g p_g q_g$ is at most $\gamma$ at every point (the S-procedure). It is
a linear matrix inequality in $\gamma, \mu, \lambda$.
Source: Yakubovich, S-procedure in nonlinear control theory, 1971; for networks Fazlyab, Morari,
Pappas, Safety verification and robustness analysis of neural networks via quadratic constraints
and semidefinite programming, IEEE TAC 67 (2022), with multipliers neuron by neuron.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.maps import Array
from lipcert.sdp.procedure.forms import Forms, stacked


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """Row by row the product of two forms."""

    first: Forms
    second: Forms

    @property
    def count(self) -> int:
        """Number of products."""
        return len(self.first.value)


@dataclass(frozen=True, slots=True)
class Stage:
    """Sectors of one layer: which products they are, and the columns of its own neurons.

    Products of a stage are `(u - a v) (b v - u)` with u of its own columns and v of earlier ones.
    """

    rows: slice
    columns: slice


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Of all points.

    Args:
        inputs: coordinates 1 to `inputs` are x.
        radius: bound on their l2 norm.
        products: not negative at any point.
        stages: layers of sectors in topological order, where a search can start.
        units: (columns,) typical sizes of the coordinates: for the search, no proof reads them.
        sizes: (products,) likewise of the products.
    """

    inputs: int
    radius: float
    products: Products
    stages: tuple[Stage, ...]
    units: Array
    sizes: Array

    @property
    def columns(self) -> int:
        """Coordinates, the constant one included."""
        return len(self.units)


def joined(parts: Sequence[Products], width: int) -> Products:
    """All products in one, perhaps none; of forms with as many columns."""
    none = Forms(np.zeros((0, width)), np.zeros((0, width)))
    return Products(
        stacked([none, *(part.first for part in parts)]),
        stacked([none, *(part.second for part in parts)]),
    )
