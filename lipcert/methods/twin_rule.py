"""How rows of functionals on the drift are pulled through a pair (BOUNDS.md section 2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.graph.align import PairNode
from lipcert.methods.crown_rule import asked, signed, through_lines
from lipcert.ops.functional import Functional
from lipcert.ops.kinds import Affine
from lipcert.walk.backward import Pull, Query
from lipcert.walk.support import Support
from lipcert.walk.table import Rows, Table


@dataclass(frozen=True, slots=True, eq=False)
class Double:
    """Rows of functionals on a pair node: on the drift there, and on f's value; None is zero."""

    drift: Functional | None
    original: Functional | None

    def plus(self, other: "Double") -> "Double":
        """Sum on a node that several others read."""
        return Double(_sum(self.drift, other.drift), _sum(self.original, other.original))

    def size(self) -> int:
        """Bytes per row."""
        parts = [p.values for p in (self.drift, self.original) if p is not None]
        return sum(v[0].numel() * v.element_size() for v in parts if len(v)) or 1


@dataclass(frozen=True, slots=True, eq=False)
class AffineStep:
    """An aligned affine node: f computes W a + b, g computes V a' + c; None is the identity.

    Args:
        original: W and b.
        compressed: V and c.
        difference: V - W and c - b as one operation, where the two have one form.
        one_form: whether they do; without a difference they are then equal.
        table: c - b, b, loss per unit of drift coefficient, loss per unit of f's.
    """

    original: Affine | None
    compressed: Affine | None
    difference: Affine | None
    one_form: bool
    table: Table


@dataclass(frozen=True, slots=True, eq=False)
class ElementwiseStep:
    """An aligned activation.

    Args:
        table: plane below the drift (slopes along delta and z, intercept), plane above it, lower
            and upper line of f's activation; intercepts already pay for rounding.
        tilted: whether any plane has a slope along z.
    """

    table: Table
    tilted: bool


Step = AffineStep | ElementwiseStep


@dataclass(frozen=True, slots=True, eq=False)
class TwinRule:
    """Pulls rows on the drift through a pair."""

    nodes: Mapping[str, PairNode]
    steps: Mapping[str, Step]
    support: Support

    def widest(self) -> int:
        """Bytes per row of two dense functionals on the largest node."""
        sizes = (torch.Size(node.original.shape).numel() for node in self.nodes.values())
        return 2 * self.support.hull.lower.element_size() * max(sizes)

    def start(self, name: str, query: Query, rows: Rows) -> Pull[Double]:
        """Single coordinates of the drift, or differences of two."""
        node, step = self.nodes[name], self.steps[name]
        shape, like = node.original.shape, self.support.hull.lower
        if not isinstance(step, AffineStep) or step.compressed is None or query.minus is not None:
            return self.step(name, Double(asked(query, shape, like), None), rows)
        if not step.one_form:
            return self.step(name, Double(asked(query, shape, like), None), rows)
        drifts = step.compressed.coordinates(query.index, shape, like)
        originals: list[Functional | None] = [None] * len(drifts)
        if step.difference is not None:
            originals = list(step.difference.coordinates(query.index, shape, like))
        states = [
            Double(signed(d, query.sign), a and signed(a, query.sign))
            for d, a in zip(drifts, originals, strict=True)
        ]
        shift, _, loss, _ = step.table.at(rows.sample, query.index, shape)
        return Pull(tuple(zip(node.inputs, states, strict=True)), shift * query.sign, loss)

    def step(self, name: str, state: Double, rows: Rows) -> Pull[Double]:
        """Through one pair node."""
        node, step = self.nodes[name], self.steps[name]
        if isinstance(step, AffineStep):
            return _through_affine(node, step, state, rows)
        return _through_planes(node, step, state, rows)

    def finish(self, state: Double, rows: Rows) -> Tensor:
        """The drift of the input is zero; what is left is linear in the input."""
        if state.original is None:
            return self.support.hull.lower.new_zeros(len(rows.sample))
        return self.support.least(state.original, rows)


def _pulled(
    op: Affine | None, functional: Functional | None, count: int
) -> list[Functional | None]:
    """Coefficients below an operation; the identity changes nothing, nothing stays nothing."""
    if functional is None:
        return [None] * count
    return [functional] if op is None else list(op.adjoint(functional))


def _sum(first: Functional | None, second: Functional | None) -> Functional | None:
    if first is None or second is None:
        return first or second
    return first.plus(second)


def _through_affine(node: PairNode, step: AffineStep, state: Double, rows: Rows) -> Pull[Double]:
    """Drift V D + (V - W) a + (c - b); f's value W a + b."""
    count = len(node.inputs)
    drift, original = state.drift, state.original
    drifts = _pulled(step.compressed, drift, count)
    originals = _pulled(step.original, original, count)
    if not step.one_form:
        across = _pulled(step.original, drift, count)
        mixed = [
            _sum(d, a and a.with_values(-a.values)) for d, a in zip(drifts, across, strict=True)
        ]
    elif step.difference is not None:
        mixed = _pulled(step.difference, drift, count)
    else:
        mixed = [None] * count
    states = [Double(d, _sum(a, m)) for d, a, m in zip(drifts, originals, mixed, strict=True)]
    parts = [(part, k) for k, part in enumerate((drift, original)) if part is not None]
    constant = _all([step.table.total(part, rows, k) for part, k in parts])
    slack = _all([step.table.slack(part, rows, k + 2) for part, k in parts])
    return Pull(tuple(zip(node.inputs, states, strict=True)), constant, slack)


def _all(parts: list[Tensor]) -> Tensor:
    """Their sum; the step's facts pay for its rounding."""
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _through_planes(
    node: PairNode, step: ElementwiseStep, state: Double, rows: Rows
) -> Pull[Double]:
    """A nonnegative coefficient takes what lies below, a negative one what lies above."""
    drift, original = state.drift, state.original
    constants: list[Tensor] = []
    below = Double(None, None)
    if drift is not None:
        along, constant = through_lines(drift, step.table, rows, (0, 2, 3, 5))
        across = _through_slopes(drift, step.table, rows, (1, 4)) if step.tilted else None
        below, constants = Double(along, across), [constant]
    if original is not None:
        lines, constant = through_lines(original, step.table, rows, (6, 7, 8, 9))
        below = Double(below.drift, _sum(below.original, lines))
        constants.append(constant)
    return Pull(((node.inputs[0], below),), _all(constants))


def _through_slopes(
    functional: Functional, table: Table, rows: Rows, facts: tuple[int, int]
) -> Functional:
    """Coefficients on f's input that planes over the drift bring along."""
    values = functional.values
    below = torch.zeros_like(values)
    for where, (lower, upper) in table.blocks(functional, rows, facts):
        plus, minus = values[where].clamp(min=0), values[where].clamp(max=0)
        torch.addcmul(plus.mul_(lower), minus, upper, out=below[where])
    return functional.with_values(below)
