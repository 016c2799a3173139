"""Inputs as pictures, where they are images."""

import base64
import io

import numpy as np
from PIL import Image

SMALLEST = 4  # pixels a side: less is no picture


def as_png(values: np.ndarray) -> str | None:
    """PNG in base 64, grey or RGB, stretched over its own range; None for what is no image.

    Args:
        values: (channels, height, width) or (height, width, channels), 1 or 3 channels.
    """
    if values.ndim != 3:
        return None
    if values.shape[0] in (1, 3):
        values = np.moveaxis(values, 0, -1)
    if values.shape[-1] not in (1, 3) or min(values.shape[:2]) < SMALLEST:
        return None
    low, high = float(values.min()), float(values.max())
    bytes_ = np.round((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)
    image = Image.fromarray(bytes_[..., 0] if bytes_.shape[-1] == 1 else bytes_)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
