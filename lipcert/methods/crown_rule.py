"""How rows of functionals are pulled backward through one network, with adaptive slopes.

Source: H. Zhang et al., Efficient neural network robustness certification with general activation
functions, NeurIPS 2018 (Theorem 3.2); rounding as in BOUNDS.md section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.methods.image import affine_image
from lipcert.numeric.rounding import down, gamma, inflate, up
from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.sets.enclosure import Interval
from lipcert.walk.backward import Pull, Query
from lipcert.walk.support import Support
from lipcert.walk.table import Rows, Table, contract

SPARE = 16  # additions of partial results beyond the sums that are counted


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Rows of functionals on one network's node."""

    functional: Functional

    def plus(self, other: "Row") -> "Row":
        """Sum on a node that several others read."""
        return Row(self.functional.plus(other.functional))

    def size(self) -> int:
        """Bytes per row."""
        values = self.functional.values
        return values[0].numel() * values.element_size() if len(values) else 1


@singledispatch
def relaxation(op: Op, *boxes: Interval) -> tuple[Interval, tuple[Tensor, ...]]:
    """Enclosure of the values of `op` on boxes of its inputs, and facts for the way back.

    The facts are all that the backward step needs besides the operation, per neuron.
    """
    raise UnsupportedOp(f"crown: no rule for {type(op).__name__}")


@relaxation.register
def of_affine(op: Affine, *boxes: Interval) -> tuple[Interval, tuple[Tensor, ...]]:
    """What one unit of coefficient can lose to rounding and weight error; the constant, if any.

    The product of coefficients and weights is off by at most gamma |coefficients| |weights|
    (Higham, eq. 3.12), whose effect on the bound is that times the largest input.
    """
    value, reach = affine_image(op, *boxes)
    loss = reach * (gamma(op.terms + 2 * SPARE, reach.dtype) + 2 * op.weight_error)
    constant = op.constant(reach)
    if constant is None:
        return value, (per_channel(inflate(loss, 8)),)
    count = reach[0].numel()
    loss = loss + constant.abs() * (gamma(count + SPARE, reach.dtype) + 2 * op.weight_error)
    return value, (per_channel(inflate(loss, 8)), per_neuron(constant, reach))


def per_channel(loss: Tensor) -> Tensor:
    """On maps, the largest loss of a channel for all of it: a table that is cheap to read."""
    return loss.amax((2, 3), keepdim=True) if loss.ndim == 4 else loss


def per_neuron(constant: Tensor, like: Tensor) -> Tensor:
    """A constant as a fact of every neuron, or of every channel where it does not vary over a map.

    Args:
        constant: broadcastable to the node's shape.
        like: (batch, *shape).
    """
    channels, *places = like.shape[1:]
    if like.ndim == 4 and constant.shape[-2:] == (1, 1):
        places = [1, 1]
    return constant.expand(channels, *places)[None]


@relaxation.register
def of_elementwise(op: Elementwise, *boxes: Interval) -> tuple[Interval, tuple[Tensor, ...]]:
    """Lower and upper lines, moved apart by what one unit of coefficient can lose to rounding.

    That scales with the lines' slopes and intercepts: the value lies between the lines.
    """
    (box,) = boxes
    lines = op.lines(box)
    steep = torch.maximum(lines.lower_slope.abs(), lines.upper_slope.abs())
    high = torch.maximum(lines.lower_intercept.abs(), lines.upper_intercept.abs())
    count, dtype = high[0].numel(), high.dtype
    loss = steep * box.magnitude() * gamma(2 * SPARE, dtype) + high * gamma(
        count + 2 * SPARE, dtype
    )
    loss = inflate(loss, count + SPARE)
    return op.image(box), (
        lines.lower_slope,
        down(lines.lower_intercept - loss),
        lines.upper_slope,
        up(lines.upper_intercept + loss),
    )


def executed_facts(op: Op, exact: tuple[Tensor, ...], error: Interval | None) -> tuple[Tensor, ...]:
    """Facts of a node to whose exact value execution adds a member of `error`."""
    if error is None:
        return exact
    if not isinstance(op, Affine):
        lower_slope, lower, upper_slope, upper = exact
        return lower_slope, down(lower + error.lower), upper_slope, up(upper + error.upper)
    loss, *constant = exact
    shift = error.centre
    loss = up(loss + per_channel(error.radius(shift)))
    if not bool(shift.any()):
        return loss, *constant
    total = shift + constant[0] if constant else shift
    rounding = gamma(total[0].numel() + SPARE, total.dtype) * (total.abs() + shift.abs())
    return up(loss + per_channel(inflate(rounding, 8))), total


@dataclass(frozen=True, slots=True, eq=False)
class CrownRule:
    """Pulls rows through one network whose nodes are enclosed so far as needed."""

    nodes: Mapping[str, Node]
    tables: Mapping[str, Table]
    support: Support

    def widest(self) -> int:
        """Bytes per row of dense coefficients on the largest node."""
        itemsize = self.support.hull.lower.element_size()
        return itemsize * max(torch.Size(node.shape).numel() for node in self.nodes.values())

    def start(self, name: str, query: Query, rows: Rows) -> Pull[Row]:
        """Affine nodes give their weights' rows; others start from unit functionals."""
        node, like = self.nodes[name], self.support.hull.lower
        if query.minus is not None or not isinstance(node.op, Affine):
            return self.step(name, Row(asked(query, node.shape, like)), rows)
        below = node.op.coordinates(query.index, node.shape, like)
        states = tuple(Row(signed(part, query.sign)) for part in below)
        loss, *constants = self.tables[name].at(rows.sample, query.index, node.shape)
        constant = constants[0] * query.sign if constants else None
        return Pull(tuple(zip(node.inputs, states, strict=True)), constant, loss)

    def step(self, name: str, state: Row, rows: Rows) -> Pull[Row]:
        """Through one node."""
        node, table = self.nodes[name], self.tables[name]
        if isinstance(node.op, Affine):
            slack = table.slack(state.functional, rows, 0)
            constant = table.total(state.functional, rows, 1) if len(table.facts) > 1 else None
            states = tuple(Row(part) for part in node.op.adjoint(state.functional))
            return Pull(tuple(zip(node.inputs, states, strict=True)), constant, slack)
        below, constant = through_lines(state.functional, table, rows, (0, 1, 2, 3))
        return Pull(((node.inputs[0], Row(below)),), constant)

    def finish(self, state: Row, rows: Rows) -> Tensor:
        """Least value over the region."""
        return self.support.least(state.functional, rows)


def asked(query: Query, shape: Shape, like: Tensor) -> Functional:
    """The query's coordinates, or differences of two, as functionals on the node itself."""
    functional = Functional.unit(query.index, shape, like)
    if query.minus is not None:
        other = Functional.unit(query.minus, shape, like).dense()
        functional = functional.dense().plus(other.with_values(-other.values))
    return signed(functional, query.sign)


def signed(functional: Functional, sign: Tensor) -> Functional:
    """Each functional times its row's sign."""
    values = functional.values
    return functional.with_values(values * sign.view(-1, *[1] * (values.ndim - 1)))


def through_lines(
    functional: Functional, table: Table, rows: Rows, facts: tuple[int, int, int, int]
) -> tuple[Functional, Tensor]:
    """A nonnegative coefficient takes the lower line, a negative one the upper.

    Args:
        functional: on the value of an activation.
        table: facts of the activation.
        rows: who reads what.
        facts: places in the table of lower slope and intercept, upper slope and intercept.

    Returns:
        The functional on the activation's input, and the intercepts' sum per row.
    """
    values = functional.values
    below, constant = torch.zeros_like(values), values.new_zeros(len(values))
    for where, (low_slope, low, high_slope, high) in table.blocks(functional, rows, facts):
        plus, minus = values[where].clamp(min=0), values[where].clamp(max=0)
        constant[where[0]] = contract(plus, low) + contract(minus, high)
        torch.addcmul(plus.mul_(low_slope), minus, high_slope, out=below[where])
    return functional.with_values(below), constant
