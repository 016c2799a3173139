"""Planes over two activations at once: below every value, whatever their slopes."""

import pytest
import torch
from torch import Tensor

from lipcert.methods.hull import Activation, cornered, hull
from lipcert.methods.tried import Tried
from lipcert.ops.clip import Clip
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.sets.enclosure import Interval, Twin

NEURONS, POINTS = 200, 400
STEEP = LeakyRelu(torch.tensor(3.0).double())


def real(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def steps(slack: float = 0.0) -> Quantize:
    return Quantize(real(0.25), real(0.0), real(9.0), slack)


def sampled(seed: int) -> tuple[Twin, Tensor, Tensor]:
    """Enclosures of made points (points, 1, neurons), a third of the neurons without width."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    size = torch.rand(1, NEURONS, generator=generator, dtype=torch.float64) ** 3
    size = size * (torch.arange(NEURONS) % 3 > 0)
    z = normal(1, NEURONS) + size * normal(POINTS, 1, NEURONS)
    y = z + (0.3 * normal(1, NEURONS) + 0.3 * size * normal(POINTS, 1, NEURONS))
    y[::7] = (y[::7] / 0.125).round() * 0.125  # on ties
    boxes = [Interval(v.amin(0), v.amax(0)) for v in (z, y, y - z)]
    return Twin(*boxes), z, y


def value(op: Activation, x: Tensor, slack: float = 0.0) -> Tensor:
    return x if op is None else op.value(x * (1 + slack) if isinstance(op, Quantize) else x)


@pytest.mark.parametrize("slack", [0.0, 2.0**-22])
@pytest.mark.parametrize(
    ("f", "g"),
    [
        (Relu(), "steps"),
        (None, "steps"),
        ("steps", None),
        ("steps", STEEP),
        (STEEP, "steps"),
        (Clip(-0.5, 1.5), "steps"),
        (Relu(), Clip(0.0, 6.0)),
    ],
)
def test_planes_lie_below(f: object, g: object, slack: float) -> None:
    found = cornered(*(steps(slack) if op == "steps" else op for op in (f, g)))
    assert found is not None
    for seed in range(3):
        twin, z, y = sampled(seed)
        generator = torch.Generator().manual_seed(seed)
        slopes = torch.randn(4, 5, 1, NEURONS, generator=generator, dtype=torch.float64)
        after, before, along_drift, along_original = slopes
        least = hull(*found, twin).lowest(after, before, along_drift, along_original)
        best = Tried.of(*found, twin).best(after, before)
        for moved in (-0.9 * slack, 0.0, 0.9 * slack):
            seen_f, seen_g = value(found[0], z, moved), value(found[1], y, moved)
            for row in range(5):
                made = after[row] * seen_g + before[row] * seen_f
                plane = along_drift[row] * (y - z) + along_original[row] * z + least[row]
                room = 1e-13 * (1 + plane.abs())  # of these sums here, far below the slack
                assert bool((made >= plane - room).all())
                plane = best[0][row] * (y - z) + best[1][row] * z + best[2][row]
                assert bool((made >= plane - room).all())


def test_two_staircases_have_no_hull() -> None:
    assert cornered(steps(), steps()) is None
    assert cornered(Relu(), None) is not None
