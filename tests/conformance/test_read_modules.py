"""PyTorch modules, read through torch.export, against the modules themselves in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune

from lipcert.errors import BadInput, UnsupportedOp
from lipcert.graph.simplify import simplify
from lipcert.ops.linear import Linear
from lipcert.read import read_module

MAP, ROW, SEQUENCE = (3, 8, 6), (12,), (4, 11)


class Of(nn.Module):
    """A function as a module, around layers that it may use."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def block(x: Tensor, first: nn.Module, norm: nn.Module, second: nn.Module) -> Tensor:
    """A residual block with in-place activations."""
    y = F.relu(norm(first(x)), inplace=True)
    y = second(y)
    y += x
    return F.relu(y, inplace=True)


def in_place(x: Tensor, layer: nn.Module) -> Tensor:
    """What is read later is the changed value."""
    y = layer(x)
    z = y.relu_()
    return y + z


def pruned() -> nn.Module:
    layer = nn.Linear(12, 5)
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


def pruned_everywhere() -> nn.Module:
    """Channels of a convolution, single weights across layers, and one mask made permanent."""
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5),
                           nn.Linear(5, 4))  # fmt: skip
    prune.ln_structured(layers[0], "weight", 0.5, n=2, dim=0)
    prune.random_unstructured(layers[0], "bias", 0.5)
    parts = [(layers[3], "weight"), (layers[4], "weight")]
    prune.global_unstructured(parts, prune.L1Unstructured, amount=0.6)
    prune.remove(layers[4], "weight")
    return layers


def reversed_order(x: Tensor) -> Tensor:
    return x[:, torch.arange(11, -1, -1)]


CASES = {
    "mlp": (nn.Sequential(nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 3)), ROW),
    "linear on maps": (nn.Linear(6, 4, bias=False), MAP),
    "softmax": (nn.Sequential(nn.Linear(12, 7), nn.Softmax(-1)), ROW),
    "conv": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), MAP),
    "conv same": (nn.Conv2d(3, 4, (4, 3), padding="same"), MAP),
    "conv valid": (nn.Conv2d(3, 6, 3, padding="valid", groups=3, bias=False), MAP),
    "conv 1-D": (nn.Conv1d(4, 6, 3, stride=2, padding=2, groups=2), SEQUENCE),
    "conv 1-D same": (nn.Conv1d(4, 6, 4, padding="same", dilation=2), SEQUENCE),
    "batch norm": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), MAP),
    "batch norm of rows": (nn.BatchNorm1d(12), ROW),
    "batch norm of sequences": (nn.BatchNorm1d(4, affine=False), SEQUENCE),
    "activations": (
        nn.Sequential(nn.ReLU(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.Hardsigmoid()), MAP),
    "clips": (nn.Sequential(nn.ReLU6(), nn.Hardtanh(-0.5, 0.7), nn.LeakyReLU(0.2)), MAP),
    "prelu": (nn.Sequential(nn.PReLU(), nn.PReLU(3, 0.1), nn.Sigmoid()), MAP),
    "clamp": (Of(lambda x: x.clamp(min=-0.5) + x.clamp(-0.1, 0.2) - x.clamp_max(0.3)), MAP),
    "max pool": (nn.MaxPool2d((3, 2), (2, 1), (1, 0), ceil_mode=True), MAP),
    "max pool 1-D": (nn.MaxPool1d(3, dilation=2), SEQUENCE),
    "average pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), MAP),
    "average pool of the map": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), MAP),
    "average pool 1-D": (nn.AvgPool1d(3), SEQUENCE),
    "adaptive": (nn.AdaptiveAvgPool2d((4, 1)), MAP),
    "adaptive 1-D": (nn.AdaptiveAvgPool1d(1), SEQUENCE),
    "mean": (Of(lambda x: x.mean((1, 3))), MAP),
    "mean kept": (Of(lambda x: x.mean(-1, keepdim=True)), MAP),
    "sum": (Of(lambda x: x.sum((2, 3))), MAP),
    "constants": (Of(lambda x: 2 - (x * 3 - 1) / 7 + torch.ones(6)), MAP),
    "branches": (Of(lambda x: torch.cat([x - x.tanh(), -x], 1)), MAP),
    "gate": (Of(lambda x: x * torch.sigmoid(1.7 * x)), MAP),
    "flatten": (Of(lambda x: x.flatten(1)), MAP),
    "flatten some": (Of(lambda x: x.flatten(2)), MAP),
    "view": (Of(lambda x: x.view(x.size(0), -1).reshape(-1, 6, 24)), MAP),
    "permute": (Of(lambda x: x.permute(0, 3, 1, 2).transpose(1, -1).contiguous()), MAP),
    "squeeze": (Of(lambda x: x.unsqueeze(-1).unsqueeze(1).squeeze(1).squeeze(-1)), ROW),
    "slices": (Of(lambda x: x[:, 1:, ::2, -3:]), MAP),
    "select": (Of(lambda x: x[:, 1, :, -2]), MAP),
    "chunk": (Of(lambda x: torch.cat(x.chunk(3, 2)[::-1], 2)), MAP),
    "split": (Of(lambda x: torch.cat(x.split([5, 7], 1)[::-1], 1)), ROW),
    "index": (Of(reversed_order), ROW),
    "pad": (nn.Sequential(nn.ConstantPad2d((1, 0, 2, 1), 0.7), nn.ZeroPad2d(1)), MAP),
    "dropout": (nn.Sequential(nn.Dropout(), nn.Identity(), nn.ReLU(inplace=True)), MAP),
    "residual": (
        Of(block, nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)), MAP),
    "in place": (Of(in_place, nn.Linear(12, 4)), ROW),
    "pruned": (pruned(), ROW),
    "pruned everywhere": (pruned_everywhere(), MAP),
    "fake quantised": (
        Of(lambda x: torch.fake_quantize_per_tensor_affine(x, 0.05, 3, -128, 127)), ROW),
}  # fmt: skip


def shaken(module: nn.Module) -> nn.Module:
    """With parameters and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point() and not bool(((tensor == 0) | (tensor == 1)).any()):
                tensor.add_(torch.rand(tensor.shape, generator=generator) / 4)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features, generator=generator)
            layer.running_var = torch.rand(layer.num_features, generator=generator) + 0.1
    return module


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_module_agrees_with_torch(name: str, dtype: torch.dtype) -> None:
    module, shape = CASES[name]
    module = shaken(module).to(dtype)
    was_training = module.training
    graph = read_module(module, shape)
    assert module.training == was_training
    inputs = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2
    with torch.no_grad():
        expected = module.eval()(inputs.clone())
    module.train(was_training)
    found = graph(inputs.double())
    assert found.shape == expected.shape
    exact = dtype == torch.float64 and name != "fake quantised"  # its kernel works in float32
    tolerance = (1e-12 if exact else 3e-6) * max(1.0, float(expected.abs().max()))
    assert float((found - expected.double()).abs().max()) <= tolerance
    simpler = simplify(graph)
    assert float((simpler(inputs.double()) - found).abs().max()) <= 1e-12
    assert {node.name for node in simpler.nodes} <= {node.name for node in graph.nodes}


def test_an_example_batch_gives_the_same_graph() -> None:
    module = nn.Linear(12, 4)
    example = torch.randn(1, 12)
    first, second = read_module(module, (12,)), read_module(module, example.numpy())
    assert (
        first.content_hash() == second.content_hash() == read_module(module, example).content_hash()
    )


def test_layers_keep_their_paths() -> None:
    module = nn.Sequential(nn.Sequential(nn.Linear(12, 4), nn.ReLU()), nn.Linear(4, 2))
    assert [n.name for n in read_module(module, (12,)).nodes[1:]] == ["0.0", "0.1", "1"]


def test_all_unsupported_calls_are_named_at_once() -> None:
    module = nn.Sequential(nn.GELU("tanh"), nn.ELU(), nn.Conv2d(3, 4, 3, padding_mode="reflect",
                           padding=1), nn.Softplus(), nn.Linear(6, 6))  # fmt: skip
    with pytest.raises(UnsupportedOp) as caught:
        read_module(module, MAP)
    message = str(caught.value)
    assert message.startswith("Sequential: ")
    assert all(part in message for part in ("gelu '0'", "elu '1'", "softplus '3'"))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean(0, keepdim=True) + x,
        lambda x: x * x,
        lambda x: x.reshape(-1, 3),
        lambda x: x.softmax(-1) + x,
        lambda x: x.flip(0),
        lambda x: x.flatten(0),
    ],
)
def test_what_mixes_rows_or_has_no_rule_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(UnsupportedOp):
        read_module(Of(function), ROW)


def test_views_changed_in_place_are_refused() -> None:
    def changed(x: Tensor, layer: nn.Module) -> Tensor:
        y = layer(x)
        y.view(-1, 2, 2).relu_()
        return y

    with pytest.raises(UnsupportedOp, match="in place"):
        read_module(Of(changed, nn.Linear(12, 4)), ROW)


def test_untraceable_modules_are_refused() -> None:
    with pytest.raises(BadInput, match=r"torch\.export"):
        read_module(Of(lambda x: x if float(x.sum()) > 0 else -x), ROW)
    with pytest.raises(BadInput, match=r"torch\.export"):
        read_module(nn.Linear(3, 4), ROW)
    with pytest.raises(BadInput, match="float16"):
        read_module(nn.Linear(12, 4).half(), ROW)


def test_pruned_weights_are_exact_zeros() -> None:
    layer = pruned()
    op = read_module(layer, ROW).output.op
    assert isinstance(op, Linear)
    assert op.error == 0
    assert torch.equal(op.weight, layer.weight.detach().double())
    assert int((op.weight == 0).sum()) == 30
