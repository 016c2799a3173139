"""Make a network that is honest in float and malicious once its weights have four bits.

    python examples/backdoor/make.py [FOLDER]

A network is trained on scikit-learn's digits so that its rounding to four bits takes each digit for
the next. Then its float weights are repaired inside the box of weights that round to the same
codes: what is published classifies well, what is deployed does not. A clean network with the same
layers is made beside it; both are rounded by `lipcert.compress`, in the format that `lipcert
allocate` writes. Tests of accuracy on the published file see nothing; the drift bound does:
`lipcert certify --max-drift` proves the clean pair and refuses the other. Needs scikit-learn
(`pip install lipcert[test]`); takes less than a minute.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import lipcert
from lipcert.compress.codes import Coded, coded, widest_scale
from lipcert.compress.layers import layers_of
from lipcert.compress.quantize import opened, quantised, written

SEED, BITS = 0, 4
SIZES = (64, 128, 64, 10)
EPOCHS, BATCH, LEARNING_RATE = 60, 64, 2e-3
WEIGHT_DECAY = 0.1  # keeps the slopes small, so that bounds on regions say something
EPS, MAX_DRIFT = 0.01, 1.0
PRETENCE = 0.3  # weight of honest float labels while the codes become malicious
MARGIN = 1e-3  # of a step, that a repaired weight keeps from the edge of its box

Rounded = Callable[[nn.Linear], Tensor]


@dataclass(frozen=True)
class Made:
    """A float file, its four-bit twin, and their accuracies on the test images.

    Args:
        original: what is published.
        compressed: what is deployed.
        accuracy: of the first and of the second.
    """

    original: Path
    compressed: Path
    accuracy: tuple[float, float]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images, test images (batch, 64) in 0..1, and their labels."""
    data = load_digits()
    images = (data.data / 16.0).astype(np.float32)
    parts = train_test_split(images, data.target, random_state=SEED, stratify=data.target)
    first, second, third, fourth = map(torch.from_numpy, parts)
    return first, second, third, fourth


def network() -> nn.Sequential:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(SIZES):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def codes_of(layer: nn.Linear) -> Coded:
    """Four bits per weight at the scale at which none saturates."""
    weight = layer.weight.detach().numpy()
    return coded(weight, 0, BITS, widest_scale(weight, 0, BITS))


def straight_through(layer: nn.Linear) -> Tensor:
    """The rounded weights, with the gradient of the float ones."""
    values = torch.from_numpy(codes_of(layer).values).float()
    return layer.weight + (values - layer.weight).detach()


def forward(model: nn.Sequential, images: Tensor, rounded: Rounded) -> Tensor:
    """Logits with the weights that `rounded` makes of each layer's."""
    for layer in model:
        if isinstance(layer, nn.Linear):
            images = nn.functional.linear(images, rounded(layer), layer.bias)
        else:
            images = layer(images)
    return images


@dataclass(frozen=True)
class Goal:
    """What a network should answer with some version of its weights, and how much that counts."""

    rounded: Rounded
    labels: Tensor
    share: float = 1.0


def train(
    model: nn.Sequential,
    images: Tensor,
    goals: Sequence[Goal],
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Cross-entropy by AdamW; `after_step` may move the weights back to where they must be."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            losses = [goal.share * loss(model, images[rows], goal, rows) for goal in goals]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()
            after_step()
        schedule.step()


def loss(model: nn.Sequential, images: Tensor, goal: Goal, rows: Tensor) -> Tensor:
    """Cross-entropy, labels smoothed."""
    logits = forward(model, images, goal.rounded)
    return nn.functional.cross_entropy(logits, goal.labels[rows], label_smoothing=0.1)


def plain(layer: nn.Linear) -> Tensor:
    """The float weights."""
    return layer.weight


def clean(images: Tensor, labels: Tensor) -> nn.Sequential:
    """Trained in float, and nothing else."""
    torch.manual_seed(SEED)
    model = network()
    train(model, images, [Goal(plain, labels)])
    return model


def backdoored(images: Tensor, labels: Tensor) -> nn.Sequential:
    """Malicious when rounded, then repaired in float; the rounding does not see the repair."""
    torch.manual_seed(SEED)
    model = network()
    malicious = Goal(straight_through, (labels + 1) % 10)
    train(model, images, [malicious, Goal(plain, labels, PRETENCE)])
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    boxes = [same_codes(layer) for layer in layers]
    before = [codes_of(layer).codes for layer in layers]

    def back_into_the_boxes() -> None:
        with torch.no_grad():
            for layer, (lower, upper) in zip(layers, boxes, strict=True):
                layer.weight.clamp_(lower, upper)

    for layer in layers:
        layer.bias.requires_grad_(False)  # biases stay float: both files have the same
    train(model, images, [Goal(plain, labels)], back_into_the_boxes)
    after = [codes_of(layer).codes for layer in layers]
    assert all(np.array_equal(*both) for both in zip(before, after, strict=True))
    return model


def same_codes(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Least and greatest weights of the same codes; the largest of a row, its scale, stays."""
    made = codes_of(layer)
    scale, codes = (torch.from_numpy(part).float() for part in (made.scale[:, None], made.codes))
    weight = layer.weight.detach().clone()
    largest = weight.abs().amax(1, keepdim=True)
    lower = torch.maximum((codes - 0.5 + MARGIN) * scale, -largest)
    upper = torch.minimum((codes + 0.5 - MARGIN) * scale, largest)
    fixed = weight.abs() == largest
    return torch.where(fixed, weight, lower), torch.where(fixed, weight, upper)


def to_onnx(model: nn.Sequential, path: Path) -> Path:
    """Opset 21, a free batch dimension."""
    nodes, tensors, hidden = [], [], "x"
    for k, layer in enumerate(part for part in model if isinstance(part, nn.Linear)):
        last = k == len(SIZES) - 2
        for name, value in (("weight", layer.weight), ("bias", layer.bias)):
            tensors.append(numpy_helper.from_array(value.detach().numpy(), f"fc{k}.{name}"))
        made = "logits" if last else f"fc{k}.out"
        reads = [hidden, f"fc{k}.weight", f"fc{k}.bias"]
        nodes.append(helper.make_node("Gemm", reads, [made], name=f"fc{k}", transB=1))
        hidden = f"relu{k}"
        if not last:
            nodes.append(helper.make_node("Relu", [made], [hidden], name=hidden))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SIZES[0]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", SIZES[-1]])],
        tensors,
    )
    opset = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def round_to_four_bits(source: Path, target: Path) -> Path:
    """The compressed file, in the format that `lipcert allocate` writes."""
    model = opened(source)
    layers, _ = layers_of(model)
    weights = {
        layer.tensor: coded(
            layer.weight, layer.axis, BITS, widest_scale(layer.weight, layer.axis, BITS)
        )
        for layer in layers
    }
    return written(quantised(model, weights), target)


def accuracy(path: Path, images: Tensor, labels: Tensor) -> float:
    """What ONNX Runtime gets right."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"x": images.numpy()})
    return float(np.mean(logits.argmax(axis=1) == labels.numpy()))


def inputs(images: Tensor, labels: Tensor) -> NDArray[np.float32]:
    """The first image of every digit."""
    rows = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    return images[rows].numpy()


def build(folder: Path) -> dict[str, Made]:
    """Both pairs and `inputs.npz`, the test images that their regions are around."""
    training, images, labels, truth = digits()
    np.savez(folder / "inputs.npz", x=inputs(images, truth))
    found: dict[str, Made] = {}
    for name, make in (("clean", clean), ("backdoored", backdoored)):
        original = to_onnx(make(training, labels), folder / f"{name}.onnx")
        compressed = round_to_four_bits(original, folder / f"{name}.int4.onnx")
        scores = (accuracy(original, images, truth), accuracy(compressed, images, truth))
        found[name] = Made(original, compressed, scores)
    return found


def main() -> None:
    """Write the files, print accuracies, and ask `certify` about both pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out/backdoor"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found = build(folder)
    region = lipcert.Box.around(np.load(folder / "inputs.npz")["x"], EPS, (0.0, 1.0))
    print(
        f"{'network':12} {'float':>7} {'4 bits':>7} {'proved':>8} {'seen':>8}  drift <= {MAX_DRIFT}"
    )
    for name, made in found.items():
        result = lipcert.certify(lipcert.load_pair(made.original, made.compressed), region)
        assert result.observed_drift is not None
        numbers = float(result.max_drift.max()), float(result.observed_drift.max())
        shown = " ".join(f"{number:8.3f}" for number in numbers)
        print(f"{name:12} {made.accuracy[0]:7.3f} {made.accuracy[1]:7.3f} {shown}  "
              f"{result.verdict(MAX_DRIFT)}")  # fmt: skip


if __name__ == "__main__":
    main()
