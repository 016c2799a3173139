from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import lipcert
from lipcert.errors import OutOfMemory
from lipcert.graph.pair import Pair
from lipcert.methods.base import Bounds, Method
from lipcert.numeric.memory import told_of_memory
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@dataclass(frozen=True)
class Greedy(Method):
    def bound(
        self, pair: Pair, region: Region, placement: lipcert.Placement, watch: Watch
    ) -> Bounds:
        torch.empty(1 << 50)
        raise AssertionError("a pebibyte was had")


def test_memory_that_runs_out_is_one_clear_error() -> None:
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / "model.pruned.onnx")
    region = lipcert.Box.around(torch.zeros(3, 1, 8, 8), 0.1)
    with pytest.raises(OutOfMemory, match=r"bounding 3 regions: memory ran out.*--memory"):
        lipcert.certify(pair, region, Greedy())


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_every_allocator_is_understood(error: type[Exception]) -> None:
    with pytest.raises(OutOfMemory), told_of_memory("work"):
        raise error


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), told_of_memory("work"):
        raise RuntimeError("shapes differ")
