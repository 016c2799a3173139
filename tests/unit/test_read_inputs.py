from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipcert.errors import BadFile, BadInput
from lipcert.read import read_inputs


def test_npy_is_returned_as_stored(tmp_path: Path) -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.save(tmp_path / "x.npy", stored)
    found = read_inputs(str(tmp_path / "x.npy"))
    assert found.dtype == np.uint8
    assert np.array_equal(found, stored)


def test_npz_by_key_or_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", first=np.zeros((2, 3)), second=np.ones((4, 3)))
    np.savez(tmp_path / "one.npz", only=np.ones((4, 3)))
    assert read_inputs(f"{tmp_path}/two.npz:second").shape == (4, 3)
    assert read_inputs(f"{tmp_path}/one.npz").shape == (4, 3)
    for key in ("", ":third"):
        with pytest.raises(BadFile, match="first, second"):
            read_inputs(f"{tmp_path}/two.npz{key}")


def test_images_are_raw_and_in_name_order(tmp_path: Path) -> None:
    for name, value in (("b.png", 255), ("a.png", 3)):
        Image.new("RGB", (5, 4), (value, 1, 2)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    found = read_inputs(str(tmp_path))
    assert (found.shape, found.dtype) == ((2, 3, 4, 5), np.float64)
    assert found[:, 0, 0, 0].tolist() == [3, 255]


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    Image.new("L", (5, 4), 7).save(tmp_path / "a.png")
    assert read_inputs(str(tmp_path)).shape == (1, 1, 4, 5)


def test_images_of_different_sizes_are_refused(tmp_path: Path) -> None:
    Image.new("L", (5, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match=r"b\.png"):
        read_inputs(str(tmp_path))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object))
    for name in ("x.npy", "x.npz", "x.npz:x"):
        with pytest.raises(BadFile):
            read_inputs(f"{tmp_path}/{name}")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04 not a zip", b"text"])
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.npz:k", "x.txt"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name.split(":", maxsplit=1)[0]).write_bytes(content)
    with pytest.raises(BadFile):
        read_inputs(f"{tmp_path}/{name}")


def test_an_array_under_the_name_of_an_archive_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(BadFile):
        read_inputs(f"{tmp_path}/x.npz")


def test_truncated_and_absurd_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((10, 10)))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-8])
    with pytest.raises(BadFile):
        read_inputs(f"{tmp_path}/x.npy")
    (tmp_path / "x.npy").write_bytes(whole.replace(b"(10, 10)", b"(10000000, 10000000)"))
    with pytest.raises(BadFile):
        read_inputs(f"{tmp_path}/x.npy")


def test_folders_without_images_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no images"):
        read_inputs(str(tmp_path))
    with pytest.raises(BadFile, match="no such file"):
        read_inputs(f"{tmp_path}/absent.npy")
    (tmp_path / "a.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(BadFile, match=r"a\.png"):
        read_inputs(str(tmp_path))


def test_text_and_empty_arrays_are_refused(tmp_path: Path) -> None:
    for array in (np.array(["a"]), np.zeros((0, 3)), np.float64(3), np.zeros(2, complex)):
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(BadInput):
            read_inputs(f"{tmp_path}/x.npy")
