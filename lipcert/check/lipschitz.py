"""Lipschitz constants in the l2 norm over all inputs, proved by multipliers of LipSDP.

Let u be increments of the input and of every neuron, v = W u those of what a neuron reads. Slopes
between 0 and 1 mean u (v - u) >= 0, so that no constant exceeds L if, for all u,
L^2 |u_input|^2 - |u_output|^2 + sum of weight (u^2 - u v) >= 0. That is one symmetric matrix; its
computed factor is held against it. Source: Rump, Verification of positive definiteness, BIT 46.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipcert.certificate.lipschitz import Constant, LipschitzDocument, Role
from lipcert.check.claim import Arrays, evaluated
from lipcert.check.network import opened
from lipcert.check.operation import (
    SLACK,
    TINY,
    UNIT,
    Array,
    Index,
    Linear,
    down,
    gamma,
    minus,
    size,
    up,
)
from lipcert.check.reader import INPUT, Step, Steps, hold, need

LARGEST = 6000  # increments
NEAR = 1e-9  # relative; of what was observed to what the inputs show
NONE = np.zeros(0, int), np.zeros(0)
Weights = Mapping[str, tuple[Index, Array]]  # by activation: entries that have one, and which


@dataclass(frozen=True)
class Rows:
    """Increments of a value's entries as `matrix` times u, each within `error`.

    `marks` says of every entry whether it moves at all, and whether it moves in an unknown way.
    """

    matrix: Array
    error: Array
    marks: Array

    def through(self, linear: Linear) -> "Rows":
        """What a linear map makes of them."""
        whole = linear.of(np.abs(self.matrix), np.abs(linear.weight))
        error = linear.of(self.error, np.abs(linear.weight)) * (SLACK + linear.error)
        error = error + (gamma(linear.terms + 4) + linear.error) * whole * SLACK + TINY
        marks = linear.of(self.marks, (linear.weight != 0).astype(float))
        return Rows(linear.of(self.matrix, linear.weight), error, np.minimum(marks, 1.0))

    def plus(self, other: "Rows", sign: float = 1.0) -> "Rows":
        """A sum, or a difference."""
        matrix = self.matrix + sign * other.matrix
        error = (self.error + other.error + UNIT * np.abs(matrix)) * SLACK
        return Rows(matrix, error, np.maximum(self.marks, other.marks))


class Form:
    """The matrix, entries true within `error`."""

    def __init__(self, inputs: int, width: int, square: float) -> None:
        """Of the input alone."""
        self.matrix, self.error = np.zeros((width, width)), np.zeros((width, width))
        self.matrix[range(inputs), range(inputs)] = square
        self.inputs, self.used = inputs, inputs

    def enclose(self, steps: Steps, weights: Weights) -> Rows:
        """A network's neurons; its output's increments."""
        single = np.eye(self.inputs, len(self.matrix))
        known = {INPUT: Rows(single, 0 * single, np.eye(1, 2) + 0 * single[:, :2])}
        for step in list(steps.values())[1:]:
            parts = [known[i] for i in step.inputs]
            if step.act is None:
                moved = [p.through(m) for p, m in zip(parts, step.maps, strict=True)]
                known[step.name] = moved[0] if len(moved) == 1 else moved[0].plus(moved[1])
            else:
                known[step.name] = self.neurons(step, parts[0], *weights.get(step.name, NONE))
        return known[list(steps)[-1]]

    def neurons(self, step: Step, reads: Rows, kept: Index, weight: Array) -> Rows:
        """An activation: u^2 - u v with these weights; entries without one must not matter."""
        need(step.act is not None and step.act.scale is None, f"{step.name}: a staircase")
        count, rows = len(reads.matrix), self.used + np.arange(len(kept))
        fits = len(set(kept.tolist()) & set(range(count))) == len(kept) == len(weight)
        need(fits, f"multipliers of another shape at {step.name}")
        proves = (weight >= 0).all() and not reads.marks[kept, 1].any()
        hold(proves, f"multipliers that prove nothing at {step.name}")
        self.matrix[rows, rows] += weight
        self.add(
            rows, -weight[:, None] / 2 * reads.matrix[kept], weight[:, None] / 2 * reads.error[kept]
        )
        self.used += len(kept)
        matrix, marks = np.zeros(reads.matrix.shape), reads.marks[:, [0, 0]]
        matrix[kept, rows], marks[kept] = 1.0, (1.0, 0.0)
        return Rows(matrix, 0 * matrix, marks)

    def add(self, rows: Index, part: Array, error: Array) -> None:
        """Twice a product of rows and others, half of it on either side."""
        for place, values, errors in ((rows, part, error), ((slice(None), rows), part.T, error.T)):
            self.matrix[place] += values
            self.error[place] += errors * SLACK + 4 * UNIT * np.abs(values) + TINY

    def less(self, output: Rows) -> None:
        """Take the output's square off."""
        hold(not output.marks[:, 1].any(), "an output that reads neurons without a multiplier")
        whole, error = np.abs(output.matrix), output.error
        self.matrix -= output.matrix.T @ output.matrix
        lost = (2 * whole + error).T @ error
        self.error += (lost + lost.T + gamma(len(whole) + 8) * (whole.T @ whole)) * SLACK + TINY

    def nonnegative(self) -> bool:
        """Whether every matrix within the error is positive semidefinite."""
        diagonal = np.diag(self.matrix)
        if self.used != len(diagonal) or not (diagonal > 0).all():
            return False
        scale = np.exp2(-np.round(np.log2(diagonal) / 2))
        matrix = scale[:, None] * self.matrix * scale
        doubt = np.sum(scale[:, None] * (self.error + 4 * UNIT * np.abs(self.matrix)) * scale, 1)
        lost = 2 * gamma(len(scale) + 8)
        shift = 2 * float(np.max(doubt + lost * (len(scale) + np.sum(np.abs(matrix), 1))))
        shifted = matrix - shift * np.eye(len(scale))
        try:
            factor = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return False
        rest, whole = np.abs(shifted - factor @ factor.T), np.abs(factor)
        sums = whole @ np.sum(whole, 0) + np.sum(np.abs(shifted), 1)
        return bool(np.max(np.sum(rest, 1) + lost * sums + doubt) * SLACK <= shift)


def bounded(networks: Sequence[Steps], weights: Sequence[Weights], constant: float) -> bool:
    """Whether a network's l2 constant, or that of the second less the first, is proved."""
    inputs = int(np.prod(networks[0][INPUT].shape))
    width = inputs + sum(len(kept) for part in weights for kept, _ in part.values())
    need(width <= LARGEST, f"a matrix of {width} rows")
    form = Form(inputs, width, float(down(np.asarray(constant**2))))
    outputs = [form.enclose(*each) for each in zip(networks, weights, strict=True)]
    form.less(outputs[0] if len(outputs) == 1 else outputs[1].plus(outputs[0], -1.0))
    return form.nonnegative()


def verify(document: LipschitzDocument, arrays: Arrays, sources: list[Path]) -> str:
    """What was verified, if everything follows; ValueError tells what does not."""
    claim, constants, networks = document.claim, document.constants, dict[Role, Steps]()
    need(claim.norm == "2" and claim.region is None, "other norms than l2, or slopes on regions")
    roles: set[tuple[Role, ...]] = {("network",), ("original", "compressed", "difference")}
    hold(set(constants) in map(set, roles), "constants of no network, or of half a pair")
    for role, stated in document.provenance.networks.items():
        path = sources.pop(0) if sources else Path(stated.source)
        networks[role] = opened(path, role, stated.file_sha256)
        need(not networks[role].softmax, "the constant of a softmax")
    for role, constant in constants.items():
        parts: tuple[Role, ...] = ("original", "compressed") if role == "difference" else (role,)
        taken = [networks[part] for part in parts]
        shown(role, constant, arrays, taken)
        hold(len(constant.upper_per_region) == 1, f"{role}: not one constant for all inputs")
        if constant.method == "sum of both" and role == "difference":
            ends = [
                np.inf if constants[part].upper is None else constants[part].upper or 0.0
                for part in parts
            ]
            proved = constant.upper is not None and constant.upper >= up(np.asarray(sum(ends)))
        else:
            proved = constant.upper is None or bounded(
                taken, multipliers(constant, arrays, parts), constant.upper
            )
        hold(proved, f"the constant of the {role} does not follow")
    return f"every constant was derived again: {', '.join(constants)}"


def multipliers(constant: Constant, arrays: Arrays, parts: Sequence[Role]) -> Sequence[Weights]:
    """By network and activation; those of a difference say whose they are."""
    need(constant.method == "LipSDP", f"bounds by {constant.method}")
    found: list[dict[str, tuple[Index, Array]]] = [{} for _ in parts]
    for entry in constant.multipliers:
        role, node = entry.node.split(":", 1) if len(parts) > 1 else (parts[0], entry.node)
        if entry.method == "LipSDP" and role in parts:
            kept, weight = arrays[entry.neurons], arrays[entry.weights]
            hold(entry.row == 0 and kept.dtype.kind == "i", "multipliers of no neurons")
            found[parts.index(role)][node] = kept.astype(int), weight.astype(float)
    return found


def shown(role: Role, constant: Constant, arrays: Arrays, networks: Sequence[Steps]) -> None:
    """Pass if two inputs show the difference quotient that was observed."""
    first, second = (arrays[name].astype(float) for name in (constant.first, constant.second))
    far = np.linalg.norm((first - second).reshape(len(first), -1), axis=1)
    changes = [minus(evaluated(net, second), evaluated(net, first)) for net in networks]
    change = changes[0] if len(changes) == 1 else minus(changes[1], changes[0])
    most = np.linalg.norm(size(change), axis=1)
    fits = (np.array(constant.observed_per_region) * far <= most * (1 + NEAR)).all()
    hold(fits, f"inputs do not show what was observed of the {role}")
