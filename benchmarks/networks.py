"""Small seeded networks for cross-checks: an MLP, a CNN and a residual graph, in float64."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


class Residual(nn.Module):
    """Two residual blocks, the second with a convolution beside it, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.left = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)
        )
        self.down = nn.Sequential(
            nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1)
        )
        self.beside = nn.Conv2d(4, 6, 1, stride=2)
        self.head = nn.Linear(6 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.left(x) + x)
        x = torch.relu(self.down(x) + self.beside(x))
        return self.head(torch.flatten(x, 1))


def mlp() -> nn.Module:
    """12-20-20-16-6."""
    layers: list[nn.Module] = []
    for wide, narrow in ((12, 20), (20, 20), (20, 16)):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 6))


def cnn() -> nn.Module:
    """Strides, groups, a dilation and kernels that are not square, over 2 x 9 x 8."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 5 * 9, 10),
        nn.ReLU(),
        nn.Linear(10, 4),
    )


KINDS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "MLP": (mlp, (12,)),
    "CNN": (cnn, (2, 9, 8)),
    "residual": (Residual, (2, 8, 8)),
}


def seeded(kind: str, seed: int) -> tuple[nn.Module, Shape]:
    """A network of a kind and its input's shape; torch's own generator is left as it was."""
    make, shape = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().double().eval(), shape


def box(shape: Shape, seed: int, radius: float, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Lower and upper ends of boxes around seeded inputs."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(batch, *shape, generator=generator, dtype=torch.float64)
    return centre - radius, centre + radius
