"""How rows of functionals on the drift are pulled through a pair (BOUNDS.md section 2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.graph.pair import PairNode
from lipcert.methods.crown import signed
from lipcert.ops.functional import Functional
from lipcert.ops.kinds import Affine
from lipcert.walk.backward import Pull
from lipcert.walk.support import Support
from lipcert.walk.table import Rows, Table, contract, contract_sizes


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
    """An aligned activation; the table holds planes, lines and losses."""

    table: Table


Step = AffineStep | ElementwiseStep


@dataclass(frozen=True, slots=True, eq=False)
class TwinRule:
    """Pulls rows on the drift through a pair."""

    nodes: Mapping[str, PairNode]
    steps: Mapping[str, Step]
    support: Support

    def start(self, name: str, index: Tensor, sign: Tensor, rows: Rows) -> Pull[Double]:
        """Single coordinates of the drift."""
        node, step = self.nodes[name], self.steps[name]
        shape, like = node.original.shape, self.support.hull.lower
        if not isinstance(step, AffineStep) or step.compressed is None or not step.one_form:
            unit = signed(Functional.unit(index, shape, like), sign)
            return self.step(name, Double(unit, None), rows)
        drifts = step.compressed.coordinates(index, shape, like)
        originals: list[Functional | None] = [None] * len(drifts)
        if step.difference is not None:
            originals = list(step.difference.coordinates(index, shape, like))
        states = [
            Double(signed(d, sign), a and signed(a, sign))
            for d, a in zip(drifts, originals, strict=True)
        ]
        shift, _, loss, _ = step.table.at(rows.sample, index, shape)
        return Pull(tuple(zip(node.inputs, states, strict=True)), shift * sign, loss)

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


def _pulled(op: Affine | None, functional: Functional | None, count: int) -> list[Functional | None]:
    """Coefficients below an operation; the identity changes nothing, nothing stays nothing."""
    if functional is None:
        return [None] * count
    return [functional] if op is None else list(op.adjoint(functional))


def _sum(first: Functional | None, second: Functional | None) -> Functional | None:
    if first is None or second is None:
        return first or second
    return first.plus(second)


def _spent(
    table: Table, state: Double, rows: Rows, facts: tuple[int, int], losses: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Constants and losses that the coefficients on drift and on f pay at a node."""
    zero = table.facts.new_zeros(len(rows.sample))
    constant, slack = zero, zero
    parts = ((state.drift, facts[0], losses[0]), (state.original, facts[1], losses[1]))
    for functional, fact, loss in parts:
        if functional is not None:
            taken = table.take(functional, rows)
            values = functional.values
            constant = constant + contract(values, taken[fact])
            slack = slack + contract_sizes(values, taken[loss])
    return constant, slack


def _through_affine(node: PairNode, step: AffineStep, state: Double, rows: Rows) -> Pull[Double]:
    """Drift V D + (V - W) a + (c - b); f's value W a + b."""
    count = len(node.inputs)
    drift, original = state.drift, state.original
    drifts = _pulled(step.compressed, drift, count)
    originals = _pulled(step.original, original, count)
    if not step.one_form:
        across = _pulled(step.original, drift, count)
        mixed = [_sum(d, a and a.with_values(-a.values)) for d, a in zip(drifts, across, strict=True)]
    elif step.difference is not None:
        mixed = _pulled(step.difference, drift, count)
    else:
        mixed = [None] * count
    states = [
        Double(d, _sum(a, m)) for d, a, m in zip(drifts, originals, mixed, strict=True)
    ]
    constant, slack = _spent(step.table, state, rows, (0, 1), (2, 3))
    return Pull(tuple(zip(node.inputs, states, strict=True)), constant, slack)


def _through_planes(
    node: PairNode, step: ElementwiseStep, state: Double, rows: Rows
) -> Pull[Double]:
    """A nonnegative coefficient takes what lies below, a negative one what lies above."""
    drift, original = state.drift, state.original
    taken = _both_taken(step.table, drift, original, rows)
    constant = step.table.facts.new_zeros(len(rows.sample))
    below = Double(None, None)
    if drift is not None:
        facts = taken[0]
        plus, minus = drift.values.clamp(min=0), drift.values.clamp(max=0)
        below = Double(
            drift.with_values(torch.addcmul(plus * facts[0], minus, facts[3])),
            drift.with_values(torch.addcmul(plus * facts[1], minus, facts[4])),
        )
        constant = contract(plus, facts[2]) + contract(minus, facts[5])
    if original is not None:
        facts = taken[1]
        plus, minus = original.values.clamp(min=0), original.values.clamp(max=0)
        lines = original.with_values(torch.addcmul(plus * facts[6], minus, facts[8]))
        below = Double(below.drift, _sum(below.original, lines))
        constant = constant + contract(plus, facts[7]) + contract(minus, facts[9])
    return Pull(((node.inputs[0], below),), constant, torch.zeros_like(constant))


def _both_taken(
    table: Table, drift: Functional | None, original: Functional | None, rows: Rows
) -> list[tuple[Tensor, ...]]:
    """Facts for both functionals, read once where they cover the same patches."""
    first = table.take(drift, rows) if drift is not None else ()
    if drift is not None and original is not None and drift.covers_as(original):
        return [first, first]
    return [first, table.take(original, rows) if original is not None else ()]
