"""Quantised PyTorch graphs: the operators that PT2E exports hold, and torchao where it is there."""

from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipcert.errors import LipcertError, UnsupportedOp
from lipcert.graph.simplify import simplify
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.read import read_module

import_module("torch.ao.quantization.fx._decomposed")  # registers the operators
OPS = torch.ops.quantized_decomposed
GRID = (0.05, 7, 0, 255, torch.uint8)
SIGNED = (0.03, 0, -127, 127, torch.int8)


def rounded(x: Tensor, grid: tuple[float, int, int, int, torch.dtype] = GRID) -> Tensor:
    return OPS.dequantize_per_tensor(OPS.quantize_per_tensor(x, *grid), *grid)


class Exported(nn.Module):
    """What convert_pt2e makes of a small network, written by hand."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.frozen = frozen
        self.kernel = nn.Buffer(torch.randint(-128, 128, (4, 3, 3, 3), generator=generator)
                                .to(torch.int8))  # fmt: skip
        self.scales = nn.Buffer(torch.rand(4, generator=generator) / 100 + 0.01)
        self.zeros = nn.Buffer(torch.tensor([0, 3, -5, 0]))
        self.weight = nn.Parameter(torch.randn(5, 96, generator=generator))
        self.bias = nn.Parameter(torch.randn(5, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        facts = (self.scales, self.zeros, 0, -128, 127, torch.int8)
        kernel = OPS.dequantize_per_channel(self.kernel, *facts)
        y = rounded(F.relu(F.conv2d(rounded(x), kernel)))
        weight = self.weight if self.frozen else rounded(self.weight, SIGNED)
        return rounded(F.linear(y.flatten(1), weight, self.bias), (0.5, -3, -128, 127, torch.int8))


@pytest.mark.parametrize("frozen", [True, False])
def test_exported_graph_agrees_with_torch(frozen: bool) -> None:
    """But for ties: torch multiplies by the scale's reciprocal, in float32."""
    module, inputs = Exported(frozen), torch.randn(20, 3, 6, 8, generator=seeded())
    graph = simplify(read_module(module, (3, 6, 8)))
    assert sum(isinstance(n.op, Quantize) for n in graph.nodes) == 3
    with torch.no_grad():
        gap = (graph(inputs.double()) - module(inputs)).abs()
    assert float(gap.max()) <= 0.5 + 1e-6
    assert float((gap > 1e-6).double().mean()) <= 0.02


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_weights_quantised_in_the_graph_have_the_codes_of_torch() -> None:
    """Entries beside ties too, where the reciprocal in float32 decides."""
    layer = nn.Linear(40, 3)
    with torch.no_grad():
        steps = torch.arange(120).reshape(3, 40) - 60 + 0.5
        layer.weight.copy_(steps * torch.tensor(0.03))

    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, rounded(self.layer.weight, SIGNED), self.layer.bias)

    op = read_module(Quantised(), (40,)).output.op
    assert isinstance(op, Linear)
    codes = OPS.quantize_per_tensor(layer.weight.detach(), *SIGNED)
    assert torch.equal(op.weight, codes.double() * 0.03)


class Wrong(nn.Module):
    """Codes read with another grid, as numbers, or with a scale computed from them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "dynamic":
            scale, zero = OPS.choose_qparams(x, 0, 255, 1e-6, torch.uint8)
            codes = OPS.quantize_per_tensor(x, scale, zero, 0, 255, torch.uint8)
            return OPS.dequantize_per_tensor(codes, scale, zero, 0, 255, torch.uint8)
        codes = OPS.quantize_per_tensor(x, *GRID)
        if self.how == "other":
            return OPS.dequantize_per_tensor(codes, 0.06, *GRID[1:])
        return codes.float() if self.how == "numbers" else codes


@pytest.mark.parametrize(
    ("how", "message"),
    [("other", "another scale"), ("numbers", "codes"), ("codes", "one tensor result"),
     ("dynamic", "quantise statically")],
)  # fmt: skip
def test_codes_that_mean_something_else_are_refused(how: str, message: str) -> None:
    with pytest.raises(LipcertError, match=message):
        read_module(Wrong(how), (6,))


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_module_is_read_for_the_batch_that_it_was_made_for(dynamic: bool) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5))
    inputs = torch.randn(3, 3, 6, 8, generator=seeded())
    shapes = ({0: torch.export.Dim("n")},) if dynamic else None
    exported = torch.export.export(module, (inputs,), dynamic_shapes=shapes).module()
    graph = read_module(exported, (3, 6, 8))
    with torch.no_grad():
        assert float((graph(inputs.double()) - module(inputs)).abs().max()) <= 1e-5


def test_an_exported_batch_of_one_keeps_its_axis() -> None:
    class Squeezed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.squeeze()

    one = torch.randn(1, 3, 1, generator=seeded())
    exported = torch.export.export(Squeezed(), (one,)).module()
    with pytest.raises(UnsupportedOp, match="batch axis"):
        read_module(exported, (3, 1))
    module = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    exported = torch.export.export(module, (one,)).module()
    graph = read_module(exported, (3, 1))
    with torch.no_grad():
        assert float((graph(one.double()) - module(one)).abs().max()) <= 1e-6


def torchao(name: str) -> Any:
    pytest.importorskip("torchao", reason="pip install torchao")
    return import_module(f"torchao.quantization{name}")


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_pt2e_of_torchao() -> None:
    pt2e = torchao(".pt2e.quantize_pt2e")
    x86 = torchao(".pt2e.quantizer.x86_inductor_quantizer")
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                           nn.Flatten(), nn.Linear(64, 5)).eval()  # fmt: skip
    inputs = torch.randn(16, 3, 8, 8, generator=seeded())
    exported = torch.export.export(module, (inputs,)).module()
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = pt2e.prepare_pt2e(exported, quantizer)
    prepared(inputs)
    converted = pt2e.convert_pt2e(prepared)
    graph = simplify(read_module(converted, (3, 8, 8)))
    assert sum(isinstance(n.op, Quantize) for n in graph.nodes) == 3
    with torch.no_grad():
        gap = (graph(inputs.double()) - converted(inputs)).abs()
    assert float(gap.max()) <= 0.05
    assert float((gap > 1e-5).double().mean()) <= 0.1


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["Int8WeightOnlyConfig", "IntxWeightOnlyConfig"])
def test_weight_only_layers_of_torchao(kind: str) -> None:
    package = torchao("")
    module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8)).eval()
    package.quantize_(module, getattr(package, kind)())
    inputs = torch.randn(9, 64, generator=seeded())
    graph = simplify(read_module(module, (64,)))
    with torch.no_grad():
        assert float((graph(inputs.double()) - module(inputs)).abs().max()) <= 1e-5


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_dynamic_layers_of_torchao_are_refused() -> None:
    package = torchao("")
    module = nn.Sequential(nn.Linear(64, 32)).eval()
    package.quantize_(module, package.Int8DynamicActivationInt8WeightConfig())
    with pytest.raises(UnsupportedOp, match="quantise statically"):
        read_module(module, (64,))
