"""The search for multipliers: how near it comes, and what it leaves behind when it is stopped."""

import itertools
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.relu import Relu
from lipcert.sdp import Chain, Progress, search, verified

STOPPED = """
import sys, time
import numpy as np
from tests.property.test_sdp_search import chain_of
from lipcert.sdp import search

steps = 0

def watch(progress):
    global steps
    steps += 1
    if steps == 4:
        print("searching", flush=True)
        time.sleep(120)

print(search(chain_of((5, *[20] * 4, 3), 1), watch).upper)
"""


def chain_of(sizes: tuple[int, ...], seed: int, scale: float = 1.0, op: Op | None = None) -> Chain:
    """Of normal weights of variance 2 / inputs, the first layer's scaled."""
    generator = torch.Generator().manual_seed(seed)
    nodes = [Node("x", None, (), (sizes[0],))]
    for place, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        weight = torch.randn(narrow, wide, generator=generator, dtype=torch.float64)
        weight *= math.sqrt(2 / wide) * (scale if place == 0 else 1)
        layer = Linear(weight, torch.zeros(narrow, dtype=torch.float64))
        nodes.append(Node(f"z{place}", layer, (nodes[-1].name,), (narrow,)))
        nodes.append(Node(f"a{place}", op or Relu(), (nodes[-1].name,), (narrow,)))
    return Chain.of(LayerGraph(tuple(nodes[:-1])))


@pytest.mark.parametrize(
    "sizes",
    [(3, 40, 2), (90, 8, 8, 4), (2, *[6] * 15, 2), (4, 30, 3, 30, 2), (6, 60, 60, 6), (1, 1, 1)],
)
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_near_the_optimum_whatever_the_shape(sizes: tuple[int, ...], slope: float) -> None:
    op = LeakyRelu(torch.tensor(slope, dtype=torch.float64)) if slope else Relu()
    proof = search(chain_of(sizes, 5, op=op))
    assert proof.relaxation_lower <= proof.upper <= proof.relaxation_lower * 1.001


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_scaling_the_first_layer_scales_the_constant(scale: float) -> None:
    plain, scaled = (search(chain_of((5, 12, 10, 3), 2, by)) for by in (1.0, scale))
    assert scaled.upper == pytest.approx(scale * plain.upper, rel=1e-3)


def test_neurons_that_do_nothing_change_nothing() -> None:
    generator = torch.Generator().manual_seed(4)
    first, last = (torch.randn(*s, generator=generator).double() for s in ((9, 4), (3, 9)))
    first[:3], last[:, 3:6] = 0.0, 0.0  # three never move, three are never read
    found = []
    for a, b in ((first, last), (first[6:], last[:, 6:])):
        nodes = (
            Node("x", None, (), (4,)),
            Node("z", Linear(a, a[:, 0]), ("x",), (len(a),)),
            Node("a", Relu(), ("z",), (len(a),)),
            Node("y", Linear(b, b[:, 0]), ("a",), (3,)),
        )
        found.append(Chain.of(LayerGraph(nodes)))
    assert found[0].neurons == found[1].neurons == 3
    assert search(found[0]).upper == pytest.approx(search(found[1]).upper, rel=1e-12)


def test_the_lower_bound_rises_and_the_constant_falls() -> None:
    told: list[Progress] = []
    proof = search(chain_of((5, *[20] * 4, 3), 1), told.append)
    assert all(step.lower <= proof.upper for step in told)
    assert all(a.lower <= b.lower for a, b in itertools.pairwise(told))
    assert told[-1].gap <= 1e-3 < told[0].gap


def test_a_limit_of_no_time_gives_the_start() -> None:
    chain = chain_of((5, *[20] * 4, 3), 1)
    hurried, whole = search(chain, limit_seconds=0.0), search(chain)
    assert whole.upper < hurried.upper < math.inf
    assert hurried.relaxation_lower == 0.0
    assert math.isinf(hurried.gap)


@pytest.mark.parametrize("steps", [1, 6, 15])
def test_an_interrupt_keeps_what_was_found(steps: int) -> None:
    chain, told = chain_of((5, *[20] * 4, 3), 1), list[Progress]()

    def watch(progress: Progress) -> None:
        told.append(progress)
        if len(told) == steps:
            raise KeyboardInterrupt

    proof = search(chain, watch)
    assert verified(chain, proof.multipliers, np.nextafter(proof.upper, 0) ** 2 * (1 + 1e-12))
    assert proof.upper <= told[-1].upper * (1 + 1e-6)
    assert proof.relaxation_lower == told[-1].lower


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT between processes on Windows")
def test_an_interrupt_from_outside_keeps_what_was_found() -> None:
    command = [sys.executable, "-c", STOPPED]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "searching\n"
        process.send_signal(signal.SIGINT)
        upper = float(process.stdout.readline())
        assert process.wait() == 0
    chain = chain_of((5, *[20] * 4, 3), 1)
    assert search(chain).upper < upper < search(chain, limit_seconds=0.0).upper
