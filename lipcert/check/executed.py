"""Networks as runtimes execute them: each step exact, then off by what float32 rounds away.

One model covers float32 sums in any order and integer kernels that requantise in float32; results
that are subnormal may be flushed to zero. Source: Higham as in `operation`, sec. 2.1 and 3.1.
"""

from dataclasses import replace

import numpy as np

from lipcert.check.operation import Activation, Rounding, move
from lipcert.check.reader import INPUT, CannotCheckError, Step, Steps, need

SINGLE = 2.0**-24
SPARE = 16  # roundings beside those of a sum: of weights, a bias, a mean, a requantisation
FEW = 4  # roundings of a quotient, or of a product with a scale or a slope
ADDED = 2  # roundings of a quotient to which a zero point is added
RAW = 8  # roundings of a sum of raw codes and zero points
FAINT = 2.0**-80  # above what underflow takes from a product, of factors below LARGE
LARGE = 2.0**30  # scales lie below it, and above its inverse
MOST = 2**14  # products in a sum: their integer sum stays below 2^31


def share(roundings: int) -> float:
    """Of what is rounded so often: above gamma_n in float32."""
    return roundings * SINGLE / (1 - roundings * SINGLE) * (1 + 1e-9)


class Executed:
    """A network in the making; of its tensors, how large raw codes and zero points behind are."""

    def __init__(self, stored: float) -> None:
        """Codes that are stored have that size at most."""
        self.steps, self.names, self.stored = Steps(), dict[str, str](), stored
        self.raw = {INPUT: 0.0}

    def add(self, step: Step) -> None:
        """A step, between others that round what it reads and what it makes."""
        name, act, raw = step.name, step.act, sum(self.raw[i] for i in step.inputs)
        need(name not in self.steps, f"two values called {name}")
        step = replace(step, inputs=[self.names.get(i, i) for i in step.inputs])
        if act is None:
            alike = raw > 0 and all((m.weight == 1).all() for m in step.maps)
            self.raw[name] = raw + self.stored if alike else 0.0  # perhaps with stored codes added
            self.steps[name] = step if exact(step) else replace(step, rounding=of_sum(step))
            return
        if not isinstance(act, Activation):
            raise CannotCheckError(f"{name}: a curve that is executed")
        self.raw[name] = raw
        if act.scale is not None:
            need(1 / LARGE <= act.scale <= LARGE, f"{name}: a scale of {act.scale}")
            codes = (act.high - act.low) * act.scale
            floor = share(RAW) * (raw + codes) if raw else share(ADDED) * codes
            source = self.insert(step, step.inputs[0], ".quotient", Rounding(share(FEW), floor))
            self.raw[name], step = 2 * codes, replace(step, inputs=[source])
        self.steps[name] = step
        if act.scale is not None or np.any(act.below):
            rounding = Rounding(share(FEW), FAINT)
            self.names[name] = self.insert(step, name, ".product", rounding)

    def insert(self, step: Step, source: str, part: str, rounding: Rounding) -> str:
        """A step that only rounds what it reads."""
        name, every = step.name + part, np.arange(int(np.prod(step.shape)))
        need(name not in self.steps, f"two values called {name}")
        maps, bias = [move(every, every.size)], np.zeros((every.size, 1))
        self.steps[name] = Step(name, [source], step.shape, maps, bias, None, rounding)
        return name


def exact(step: Step) -> bool:
    """Whether a step moves values about, or changes signs."""
    sure = all((np.abs(m.weight) == 1).all() and not m.error for m in step.maps)
    reads = (np.sum(m.index < m.size, 1) for m in step.maps)
    return bool(sure and not step.bias.any() and np.max(sum(reads, np.zeros(1)), initial=0) <= 1)


def of_sum(step: Step) -> Rounding:
    """In any order."""
    terms = sum(m.weight.shape[2] for m in step.maps)
    need(terms <= MOST, f"{step.name}: a sum of {terms} products")
    fits = all(np.abs(m.weight).max() < LARGE for m in step.maps)
    need(fits, f"{step.name}: weights that are too large")
    return Rounding(share(terms + SPARE), (terms + SPARE) * FAINT)


def executed(steps: Steps, semantics: str) -> Steps:
    """A network under a semantics; `real` changes nothing."""
    if semantics == "real":
        return steps
    need(semantics in ("float32", "int8"), f"the semantics {semantics}")
    need(not steps.double, "a network that computes in float64")
    need(steps.stored < LARGE, "stored codes of a scale that is too large")
    made = Executed(steps.stored)
    for step in steps.values():
        made.add(step)
    made.steps.executed, made.steps.softmax = True, steps.softmax
    return made.steps
