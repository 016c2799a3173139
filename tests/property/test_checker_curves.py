"""Certificates of networks with curved activations are verified, as tight as they were proved."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from checker_forgery import resealed, tightened
from checker_pairs import rounded, saved
from onnx import NodeProto, helper
from torch import nn

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import load
from lipcert.check import Answer, check
from lipcert.sets.region import Region

WIDTHS = (5, 8, 7, 3)
FORMS: dict[str, list[tuple[str, str, str]]] = {
    "tanh": [("Tanh", "x", "y")],
    "sigmoid": [("Sigmoid", "x", "y")],
    "erf": [("Erf", "x", "y")],
    "hard sigmoid": [("HardSigmoid", "x", "y")],
    "hard swish": [("HardSwish", "x", "y")],
    "silu": [("Sigmoid", "x", "s"), ("Mul", "x s", "y")],
    "gelu": [("Div", "x root", "t"), ("Erf", "t", "e"), ("Add", "e one", "f"), ("Mul", "x f", "g"),
             ("Mul", "g half", "y")],
    "hard swish by clip": [("Add", "x three", "a"), ("Clip", "a zero six", "c"),
                           ("Mul", "x c", "m"), ("Div", "m six", "y")],
}  # fmt: skip
NUMBERS = {"root": np.sqrt(2), "one": 1, "half": 0.5, "three": 3, "zero": 0, "six": 6}


def activation(form: str, layer: int) -> list[NodeProto]:
    """From `sum` to `act` of a layer."""
    ends = {"x": f"sum{layer}", "y": f"act{layer}"}
    named = {n: n for n in NUMBERS} | ends
    return [
        helper.make_node(kind, *([named.get(n, n + str(layer)) for n in names.split()]
                                 for names in (reads, makes)))
        for kind, reads, makes in FORMS[form]
    ]  # fmt: skip


def network(path: Path, form: str, weights: list[np.ndarray], scale: float | None = None) -> Path:
    """Layers one behind the other; where there is a scale, values are rounded to codes."""
    nodes, now = list[NodeProto](), "input"
    tensors = {name: np.float32(number) for name, number in NUMBERS.items()}
    tensors |= {"s": np.float32(scale or 1), "z": np.int8(0)}
    for layer, weight in enumerate(weights):
        last = layer == len(weights) - 1
        tensors[f"w{layer}"] = weight
        made = "output" if last else f"sum{layer}"
        nodes.append(helper.make_node("Gemm", [now, f"w{layer}"], [made], transB=1))
        now = f"act{layer}"
        nodes += [] if last else activation(form, layer)
        if scale and not last:
            codes, now = f"q{layer}", f"d{layer}"
            nodes.append(helper.make_node("QuantizeLinear", [f"act{layer}", "s", "z"], [codes]))
            nodes.append(helper.make_node("DequantizeLinear", [codes, "s", "z"], [now]))
    return saved(path, nodes, tensors, (weights[0].shape[1],))


def pair_of(folder: Path, form: str, kind: str, rng: np.random.Generator) -> tuple[Path, Path]:
    """A network and its twin: fewer bits, codes in between, some weights or a neuron less."""
    sizes = zip(WIDTHS[1:], WIDTHS[:-1], strict=True)
    weights = [rng.normal(size=s).astype(np.float32) * 0.8 for s in sizes]
    few = [rounded(w, 6) for w in weights]
    if kind == "pruned":
        few = [np.where(np.abs(w) < 0.2, 0, w).astype(np.float32) for w in weights]
    if kind == "channel":
        few = [np.delete(weights[0], 2, 0), np.delete(weights[1], 2, 1), weights[2]]
    f = network(folder / "f.onnx", form, weights)
    return f, network(folder / "g.onnx", form, few, 0.02 if kind == "codes" else None)


KINDS = ("codes", "pruned", "bits")
CASES = [*zip(FORMS, itertools.cycle(KINDS), strict=False), ("gelu", "codes"), ("silu", "pruned"),
         ("tanh", "channel"), ("gelu", "channel")]  # fmt: skip


@pytest.mark.parametrize(("form", "kind"), CASES)
def test_what_is_proved_is_verified(tmp_path: Path, form: str, kind: str) -> None:
    rng = np.random.default_rng(len(form) + len(kind))
    pair = lipcert.load_pair(*pair_of(tmp_path, form, kind, rng))
    inputs, eps = rng.normal(size=(1, WIDTHS[0])), float(rng.choice([0.01, 0.1, 0.5]))
    region: Region = lipcert.Box.around(inputs, eps)
    if kind == "pruned":
        region = lipcert.Ball.around(inputs, eps)
    made = lipcert.certify(pair, region, attack=DriftAttack(steps=3, restarts=1))
    stored = load(made.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    told = stored.document.result
    assert max(told.max_drift) <= 1.001 * float(made.max_drift.max())
    resealed(stored, result=tightened(told, 0.99, None))
    assert check(stored.path)[0] is Answer.NOT_VERIFIED


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Hardswish])
def test_what_torch_exports_is_verified(tmp_path: Path, kind: type[nn.Module]) -> None:
    torch.manual_seed(len(kind.__name__))
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, stride=2), kind(), nn.Conv2d(3, 3, 3, groups=3), kind(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3),
    )  # fmt: skip
    inputs = torch.randn(1, 1, 6, 6)
    files = tmp_path / "f.onnx", tmp_path / "g.onnx"
    for file in files:
        torch.onnx.export(net.eval(), (inputs,), file, dynamo=False, opset_version=17)
        for weight in net.parameters():
            weight.data = torch.from_numpy(rounded(weight.detach().numpy(), 6))
    region = lipcert.Box.around(inputs.double().numpy(), 0.1)
    attack = DriftAttack(steps=3, restarts=1)
    made = lipcert.certify(lipcert.load_pair(*files), region, attack=attack)
    stored = load(made.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    assert max(stored.document.result.max_drift) <= 1.001 * float(made.max_drift.max())
