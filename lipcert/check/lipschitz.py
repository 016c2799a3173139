"""Lipschitz constants in the l2 norm over all inputs, proved by multipliers of LipSDP.

Let u be increments of the input and of every neuron, v = W u those of what a neuron reads. Slopes
between 0 and 1 mean u (v - u) >= 0, so that no constant exceeds L if, for all u,
L^2 |u_input|^2 - |u_output|^2 - sum of weight u (v - u) >= 0.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lipcert.certificate.lipschitz import Constant, LipschitzDocument, Role
from lipcert.check.claim import Arrays, evaluated
from lipcert.check.form import Form, Rows, followed
from lipcert.check.network import opened
from lipcert.check.operation import Activation, Array, Index, down, minus, size, up
from lipcert.check.reader import INPUT, Step, Steps, hold, need

LARGEST = 6000  # increments
NEAR = 1e-9  # relative; of what was observed to what the inputs show
NONE = np.zeros(0, int), np.zeros(0)
Weights = Mapping[str, tuple[Index, Array]]  # by activation: entries that have one, and which


class Increments:
    """Sectors of neurons, taken off a form whose first coordinates are the input's increments."""

    def __init__(self, form: Form, inputs: int) -> None:
        """No neuron yet."""
        self.form, self.used, self.width = form, inputs, len(form.matrix)
        single = np.eye(inputs, self.width)
        self.start = Rows(single, 0 * single)

    def output(self, steps: Steps, weights: Weights) -> Rows:
        """Of a network, whose neurons get their coordinates."""
        return followed(self.start, steps, lambda step, reads: self.neurons(
            step, reads, *weights.get(step.name, NONE)), biased=False)  # fmt: skip

    def neurons(self, step: Step, reads: Rows, kept: Index, weight: Array) -> Rows:
        """An activation: u (v - u) with these weights; others make some share of what they read."""
        act = step.act
        need(isinstance(act, Activation) and act.scale is None, f"{step.name}: no ReLU, no clip")
        assert isinstance(act, Activation)
        fine = (np.asarray(act.below) >= 0).all() and (np.asarray(act.below) <= 1).all()
        need(fine, f"{step.name}: slopes that are not between 0 and 1")
        fits = len(set(kept.tolist()) & set(range(len(reads.matrix)))) == len(kept) == len(weight)
        need(fits, f"multipliers of another shape at {step.name}")
        hold((weight >= 0).all(), f"multipliers that prove nothing at {step.name}")
        makes = reads.times(np.zeros(1), np.ones(1)).replaced(kept, self.used)
        self.used += len(kept)
        own = makes.some(kept)
        self.form.less(own, reads.some(kept).plus(own, -1.0), weight)
        return makes


def bounded(networks: Sequence[Steps], weights: Sequence[Weights], constant: float) -> bool:
    """Whether a network's l2 constant, or that of the second less the first, is proved."""
    inputs = int(np.prod(networks[0][INPUT].shape))
    width = inputs + sum(len(kept) for part in weights for kept, _ in part.values())
    need(width <= LARGEST, f"a matrix of {width} rows")
    diagonal = np.zeros(width)
    diagonal[:inputs] = down(np.asarray(constant**2))
    made = Increments(Form(diagonal), inputs)
    outputs = [made.output(*each) for each in zip(networks, weights, strict=True)]
    last = outputs[0] if len(outputs) == 1 else outputs[1].plus(outputs[0], -1.0)
    made.form.less(last, last, np.ones(len(last.matrix)))
    return made.form.nonnegative()


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
