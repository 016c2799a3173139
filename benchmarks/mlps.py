"""Multilayer perceptrons of the Lipschitz benchmark: random ones by seed, and trained on digits."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

RANDOM = (  # hidden layers, width
    (2, 20), (5, 20), (10, 20), (20, 20), (50, 20), (2, 50), (5, 50), (10, 50), (20, 50), (50, 50),
    (2, 100), (5, 100), (10, 100), (20, 100), (50, 100),
)  # fmt: skip
WIDE = ((3, 1000), (10, 500))
DIGITS = ((64, 32, 32, 10), (64, 64, 64, 64, 64, 10), (64, 128, 128, 10))
ENDS = 10  # inputs and outputs of the random ones
EPOCHS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Mlp:
    """Weights of a ReLU network without its biases, which no Lipschitz bound reads."""

    title: str
    weights: tuple[Tensor, ...]

    @property
    def hidden(self) -> int:
        """Neurons."""
        return sum(weight.shape[0] for weight in self.weights[:-1])

    @property
    def width(self) -> int:
        """Neurons of the widest hidden layer."""
        return max(weight.shape[0] for weight in self.weights[:-1])

    def module(self) -> nn.Module:
        """The network, in float64, with biases of zero."""
        layers: list[nn.Module] = []
        for weight in self.weights:
            layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.zero_()
            layers += [layer, nn.ReLU()]
        return nn.Sequential(*layers[:-1]).eval()

    def norm_product(self) -> float:
        """Product of the layers' spectral norms."""
        return math.prod(float(torch.linalg.matrix_norm(w, 2)) for w in self.weights)


def seeded(depth: int, width: int, seed: int = 0) -> Mlp:
    """Normal weights of variance 2 / inputs, by seed."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (ENDS, *[width] * depth, ENDS)
    weights = [
        torch.randn(narrow, wide, generator=generator, dtype=torch.float64) * math.sqrt(2 / wide)
        for wide, narrow in itertools.pairwise(sizes)
    ]
    return Mlp(f"random {depth}x{width}", tuple(weights))


def trained(sizes: Sequence[int], seed: int = 0) -> Mlp:
    """On scikit-learn's digits, in the order of one seed; all images, none held back."""
    layers = [part for part in trained_module(sizes, seed) if isinstance(part, nn.Linear)]
    weights = tuple(layer.weight.detach().clone() for layer in layers)
    return Mlp(f"digits {'-'.join(map(str, sizes))}", weights)


def digits() -> tuple[Tensor, Tensor]:
    """Images of 64 pixels in 0..1, and labels."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - some rows only

    images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    return images / 16, labels


def trained_module(sizes: Sequence[int], seed: int = 0) -> nn.Sequential:
    """The network of `trained` with its biases."""
    images, labels = digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in itertools.pairwise(sizes)]
    model = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    return model.eval()


def networks(*, small: bool) -> Iterator[Mlp]:
    """In growing size; `small` leaves out those of a thousand hidden neurons and more."""
    random = [seeded(*shape) for shape in (*RANDOM, *WIDE)]
    every = [*random, *[trained(sizes) for sizes in DIGITS]]
    for network in sorted(every, key=lambda network: network.hidden):
        if not small or network.hidden < 1000:
            yield network
