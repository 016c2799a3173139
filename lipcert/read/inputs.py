"""Inputs of a network from files: arrays and folders of images."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image, UnidentifiedImageError

from lipcert.errors import BadFile, BadInput

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def read_inputs(text: str) -> np.ndarray:
    """An array with one input per row, as stored; images become (N, channels, height, width).

    Args:
        text: a .npy file; `file.npz:key` (the key may be left out where there is one array); or a
            folder of images, read in the order of their names as floats from 0 to 255, not scaled.
            Grey images have one channel, all others become RGB.

    Raises:
        BadFile: if there is no such file or it cannot be read.
        BadInput: if its contents are not one array of real numbers.
    """
    path, key = _split(text)
    if path.is_dir():
        return _images(path)
    if not path.is_file():
        raise BadFile(f"{path}: no such file or folder of inputs")
    if path.suffix == ".npz":
        return _numbers(_from_archive(path, key), text)
    if path.suffix == ".npy":
        return _numbers(_loaded(path), text)
    raise BadFile(f"{path}: inputs are read from .npy, .npz (file.npz:key) and folders of images")


def _split(text: str) -> tuple[Path, str | None]:
    """A file and the key behind its colon; a colon elsewhere belongs to the name."""
    front, colon, key = text.rpartition(":")
    if colon and front.endswith(".npz"):
        return Path(front), key
    return Path(text), None


def _loaded(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise BadFile(
            f"{path}: not a .npy file of numbers, or a truncated one ({error})"
        ) from error


def _from_archive(path: Path, key: str | None) -> np.ndarray:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            if key is None and len(names) == 1:
                key = names[0]
            if key not in names:
                found = ", ".join(names) or "none"
                asked = "names no array" if key is None else f"has no array '{key}'"
                raise BadFile(f"{path}: {asked}; write {path}:KEY with one of {found}")
            return archive[key]
    except (OSError, ValueError, EOFError, BadZipFile, KeyError, TypeError, MemoryError) as error:
        raise BadFile(f"{path}: not a .npz file, or a truncated one ({error})") from error


def _numbers(array: np.ndarray, text: str) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise BadInput(f"{text}: holds entries of type {array.dtype}, not real numbers")
    if array.ndim == 0 or array.size == 0:
        raise BadInput(f"{text}: holds an array of shape {array.shape}, not rows of inputs")
    return array


def _images(folder: Path) -> np.ndarray:
    names = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and p.is_file())
    if not names:
        raise BadFile(f"{folder}: no images in this folder")
    images = [_image(name) for name in names]
    odd = next((k for k, i in enumerate(images) if i.shape != images[0].shape), None)
    if odd is not None:
        raise BadInput(
            f"{names[odd]} is {images[odd].shape} (channels, height, width), "
            f"{names[0].name} is {images[0].shape}; all must be alike"
        )
    return np.stack(images)


def _image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            grey = image.mode in ("1", "L")
            pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float64)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BadFile(f"{path}: not an image, or a damaged one ({error})") from error
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
