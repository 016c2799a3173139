"""Lipschitz constants: by intervals around derivatives, or in l2 by multipliers of LipSDP.

Let u be increments of the input and of every neuron, v = W u those of what a neuron reads. Slopes
between a and b mean (u - a v) (b v - u) >= 0, so that no constant exceeds L if, for all u,
L^2 |u_input|^2 - |u_output|^2 - sum of weight (u - a v) (b v - u) >= 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipcert.certificate.lipschitz import Constant, LipschitzDocument, Role
from lipcert.check.claim import Arrays, Regions, evaluated
from lipcert.check.form import Form, Rows, followed
from lipcert.check.jacobian import Area, Slopes, derivatives, slopes, within
from lipcert.check.network import opened
from lipcert.check.operation import Array, Box, Index, down, minus, size, up
from lipcert.check.reader import INPUT, Step, Steps, hold, need

LARGEST = 6000  # increments
NEAR = 1e-9  # relative; of what was observed to what the inputs show
ABOUT = 1e-2  # likewise, to what they surely show: where they are near, rounding counts
NONE = np.zeros(0, int), np.zeros(0)
Weights = Mapping[str, tuple[Index, Array]]  # by activation: entries that have one, and which
SINGLE: set[Role] = {"network"}
PAIR: set[Role] = {"original", "compressed", "difference"}
PARTS: dict[Role, tuple[Role, ...]] = {
    role: (role,) for role in ("network", "original", "compressed")
}
PARTS["difference"] = ("original", "compressed")


@dataclass(frozen=True)
class Part:
    """A network, what its neurons' slopes may be, and multipliers of some."""

    steps: Steps
    slopes: Slopes
    weights: Weights


class Increments:
    """Sectors of neurons, taken off a form whose first coordinates are the input's increments."""

    def __init__(self, form: Form, inputs: int) -> None:
        """No neuron yet."""
        self.form, self.used, self.width = form, inputs, len(form.matrix)
        single = np.eye(inputs, self.width)
        self.start = Rows(single, 0 * single)

    def output(self, part: Part) -> Rows:
        """Of a network, whose neurons get their coordinates."""
        return followed(self.start, part.steps, lambda step, reads: self.neurons(
            step, reads, part.slopes[step.name], part.weights.get(step.name, NONE),
        ), biased=False)  # fmt: skip

    def neurons(self, step: Step, reads: Rows, ends: Box, weights: tuple[Index, Array]) -> Rows:
        """An activation's products, weighted; others make some share of what they read."""
        kept, weight = weights
        fits = len(set(kept.tolist()) & set(range(len(reads.matrix)))) == len(kept) == len(weight)
        need(fits, f"multipliers of another shape at {step.name}")
        hold((weight >= 0).all(), f"multipliers that prove nothing at {step.name}")
        makes = reads.times(*ends).replaced(kept, self.used)
        self.used += len(kept)
        own, few = makes.some(kept), reads.some(kept)
        low, high = (few.times(end[kept], end[kept]) for end in ends)
        self.form.less(own.plus(low, -1.0), high.plus(own, -1.0), weight)
        return makes


def bounded(parts: Sequence[Part], constant: float) -> bool:
    """Whether multipliers prove an l2 constant: a network's, or the second's less the first."""
    inputs = int(np.prod(parts[0].steps[INPUT].shape))
    width = inputs + sum(len(kept) for part in parts for kept, _ in part.weights.values())
    need(width <= LARGEST, f"a matrix of {width} rows")
    diagonal = np.zeros(width)
    diagonal[:inputs] = down(np.asarray(constant**2))
    made = Increments(Form(diagonal), inputs)
    outputs = [made.output(part) for part in parts]
    last = outputs[0] if len(outputs) == 1 else outputs[1].plus(outputs[0], -1.0)
    made.form.less(last, last, np.ones(len(last.matrix)))
    return made.form.nonnegative()


def proved(parts: Sequence[Part], norm: str, constant: float) -> bool:
    """Whether a constant follows, over one region or everywhere."""
    hold(constant >= 0, "a constant below zero")
    if any(part.steps.softmax for part in parts):
        need(len(parts) == 1, "the difference of what softmaxes make")
        # its derivatives' absolute rows and columns sum to a half at most
        constant *= 2
    if any(part.weights for part in parts):
        return norm == "2" and bounded(parts, constant)
    return within(entries(parts), norm, constant)


def entries(parts: Sequence[Part]) -> Box:
    """Derivatives of a network, or of the second less the first."""
    found = [derivatives(part.steps, part.slopes) for part in parts]
    return found[0] if len(found) == 1 else minus(found[1], found[0])


def verify(document: LipschitzDocument, arrays: Arrays, sources: list[Path]) -> str:
    """What was verified, if everything follows; ValueError tells what does not."""
    claim, constants, networks = document.claim, document.constants, dict[Role, Steps]()
    hold(set(constants) in (SINGLE, PAIR), "constants of no network, or of half a pair")
    wide = {name: array.astype(float) for name, array in arrays.items()}
    regions = None if claim.region is None else Regions.of(claim.region, wide)
    rows = 1 if regions is None else len(regions.lower)
    for role, stated in document.provenance.networks.items():
        path = sources.pop(0) if sources else Path(stated.source)
        networks[role] = steps = opened(path, role, stated.file_sha256)
        fits = regions is None or regions.lower.shape[1:] == steps[INPUT].shape
        hold(fits, "regions of another shape")
    ends = {list(steps.values())[-1].shape for steps in networks.values()}
    hold(len(ends) == 1, "outputs of different shapes")
    for role, constant in constants.items():
        need(constant.reason is None, f"{role}: {constant.reason}")
        hold(len(constant.upper_per_region) == rows, f"{role}: not one constant for each region")
        shown(constant, wide, [networks[part] for part in PARTS[role]], regions, float(claim.norm))
    for row in range(rows):
        known = dict[Role, Slopes]()
        uppers = {role: constant.upper_per_region[row] for role, constant in constants.items()}
        for role, constant in constants.items():
            upper = uppers[role]
            if upper is None or (role == "difference" and upper >= both(uppers)):
                continue
            for part in set(PARTS[role]) - set(known):
                known[part] = slopes(networks[part], area(regions, row))
            weights = multipliers(constant, arrays, role, row)
            parts = [Part(networks[p], known[p], weights[p]) for p in PARTS[role]]
            hold(proved(parts, claim.norm, upper), f"row {row}: that of the {role} does not follow")
    return f"every constant was derived again: {', '.join(constants)}"


def both(uppers: Mapping[str, float | None]) -> float:
    """No less than what the constants of two networks say of their difference."""
    ends = [uppers[part] for part in PARTS["difference"]]
    return float(up(np.asarray(sum(np.inf if end is None else end for end in ends))))


def area(regions: Regions | None, row: int) -> Area | None:
    """A row's region, if there are any."""
    if regions is None:
        return None
    box = regions.lower[row].reshape(-1, 1), regions.upper[row].reshape(-1, 1)
    return box, regions.ball(row)


def multipliers(constant: Constant, arrays: Arrays, role: Role, row: int) -> Mapping[str, Weights]:
    """By network and activation; those of a difference say whose they are."""
    found: dict[str, dict[str, tuple[Index, Array]]] = {part: {} for part in PARTS[role]}
    for entry in constant.multipliers:
        whose, node = entry.node.split(":", 1) if len(PARTS[role]) > 1 else (role, entry.node)
        kept, weight = arrays[entry.neurons], arrays[entry.weights]
        hold(kept.dtype.kind == "i" and whose in found, "multipliers of no neurons")
        if entry.row == row:
            found[whose][node] = kept.astype(int), weight.astype(float)
    return found


def shown(constant: Constant, arrays: Arrays, networks: Sequence[Steps], regions: Regions | None,
          norm: float) -> None:  # fmt: skip
    """Pass if two inputs of each region show the difference quotient that was observed there."""
    pair = first, second = arrays[constant.first], arrays[constant.second]
    fits = all(x.shape[1:] == steps[INPUT].shape for steps in networks for x in pair)
    hold(
        fits and len(first) == len(second) == len(constant.observed_per_region),
        "inputs of another shape",
    )
    hull = regions and replace(regions, step=None)
    for row in range(len(first)):
        inside = hull is None or all(hull.inside(row, x[row]) for x in pair)
        hold(inside, f"row {row}: an input that was found lies outside its region")
    far = np.linalg.norm((first - second).reshape(len(first), -1), norm, axis=1)
    changes = [minus(evaluated(net, second), evaluated(net, first)) for net in networks]
    change = changes[0] if len(changes) == 1 else minus(changes[1], changes[0])
    surely = np.maximum(np.maximum(change[0], -change[1]), 0)
    least, most = (np.linalg.norm(change, norm, axis=1) for change in (surely, size(change)))
    told = (seen := np.array(constant.observed_per_region)) * far
    fine = (told <= most * (1 + NEAR)) & (told <= least * (1 + ABOUT)) & ((far > 0) | (seen == 0))
    hold(fine.all(), "inputs do not show the difference quotient that was observed")
