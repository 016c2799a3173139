"""ResNet-20 for 32x32 images, with weights by seed: no trained one is shipped."""

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
BLOCKS = 3  # per width
CLASSES = 10
IMAGES = 64  # of noise, that batch norms take their statistics from


class Block(nn.Module):
    """Two convolutions and what leads around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Around a change of shape, a convolution of one pixel."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        changes = inputs != outputs or stride != 1
        self.around = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the sum."""
        return self.relu(self.body(x) + self.around(x))


def resnet20(seed: int = 0) -> nn.Module:
    """He, Zhang, Ren, Sun, Deep residual learning for image recognition, CVPR 2016, sec. 4.2.

    Normal weights of variance 2 / inputs, in float64.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: list[nn.Module] = [
            nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(),
        ]
        inputs = WIDTHS[0]
        for place, width in enumerate(WIDTHS):
            for block in range(BLOCKS):
                parts.append(Block(inputs, width, 2 if place and not block else 1))
                inputs = width
        parts += [nn.AvgPool2d(8), nn.Flatten(), nn.Linear(inputs, CLASSES)]
        network = nn.Sequential(*parts).double()
        _initialise(network)
        with torch.no_grad():
            network(torch.rand(IMAGES, 3, 32, 32, dtype=torch.float64))
    return network.eval()


def _initialise(network: nn.Module) -> None:
    """Weights of every layer; batch norms that keep the statistics of one batch."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            part.momentum = None
