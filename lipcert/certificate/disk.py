"""On disk: `certificate.json` and `arrays.npz`, `lipschitz.json` and `lipschitz.npz`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

import numpy as np
from pydantic import ValidationError

from lipcert.certificate.document import ArrayFacts, Document
from lipcert.certificate.lipschitz import LipschitzDocument
from lipcert.errors import BadFile

FACTS, ARRAYS = "certificate.json", "arrays.npz"
CONSTANTS, CONSTANT_ARRAYS = "lipschitz.json", "lipschitz.npz"
Kind = TypeVar("Kind", Document, LipschitzDocument)
Arrays = dict[str, np.ndarray]
LARGEST = 2**30  # bytes of either file
UNPACKED = 2**32  # bytes of all arrays
WHOLE = 2**53  # float64 holds every integer up to this
DTYPES = ("<f4", "<f8", "<i8", "|u1")


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A certificate as it lies on disk, its hashes confirmed.

    Args:
        document: the facts.
        arrays: every array by name: region, inputs that were found, slopes.
        path: of the JSON.
    """

    document: Document
    arrays: Mapping[str, np.ndarray]
    path: Path


def write(document: Document, arrays: Mapping[str, np.ndarray], folder: Path) -> Path:
    """Both files of a certificate; returns the path of the JSON."""
    return _written(document, arrays, folder / FACTS, folder / ARRAYS)


def write_lipschitz(
    document: LipschitzDocument, arrays: Mapping[str, np.ndarray], folder: Path
) -> Path:
    """Both files of Lipschitz constants; returns the path of the JSON."""
    return _written(document, arrays, folder / CONSTANTS, folder / CONSTANT_ARRAYS)


def located(path: str | Path) -> Path:
    """The JSON of what lies at a path: of a certificate or, in a folder without, of constants.

    Raises:
        BadFile: a folder without either.
    """
    place = Path(path)
    if not place.is_dir():
        return place
    found = [place / name for name in (FACTS, CONSTANTS) if (place / name).exists()]
    if not found:
        raise BadFile(f"{place}: there is no {FACTS} and no {CONSTANTS} in it")
    return found[0]


def load(path: str | Path) -> Stored:
    """The certificate in a folder, or of a `certificate.json`.

    Raises:
        BadFile: if a file is missing, malformed or was changed: a field of the wrong type, an
            unknown one, a number that is not finite or that no float64 holds, a hash that differs.
    """
    place = Path(path)
    place = place / FACTS if place.is_dir() else place
    return Stored(*_read(place, place.with_name(ARRAYS), Document), place)


def load_lipschitz(path: str | Path) -> tuple[LipschitzDocument, Arrays]:
    """Lipschitz constants in a folder, or of a `lipschitz.json`, and their arrays.

    Raises:
        BadFile: as for `load`.
    """
    place = Path(path)
    place = place / CONSTANTS if place.is_dir() else place
    return _read(place, place.with_name(CONSTANT_ARRAYS), LipschitzDocument)


def _written(
    document: Document | LipschitzDocument,
    arrays: Mapping[str, np.ndarray],
    place: Path,
    archive: Path,
) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(str(archive), allow_pickle=False, **arrays)
    place.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return place


def _read(place: Path, archive: Path, kind: type[Kind]) -> tuple[Kind, Arrays]:
    try:
        if max(place.stat().st_size, archive.stat().st_size) > LARGEST:
            raise BadFile(f"{place}: more than {LARGEST} bytes")
        document = kind.model_validate_json(data := place.read_bytes())
        json.loads(data, object_pairs_hook=_unique)
        return document, _arrays(archive, document.arrays)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the certificate"
        raise BadFile(f"{place}: {where}: {first['msg']}") from error
    except (OSError, ValueError, EOFError, BadZipFile, KeyError, MemoryError) as error:
        raise BadFile(f"{place}: cannot be read ({error})") from error


def _unique(pairs: list[tuple[str, object]]) -> None:
    """Refuse names that are given twice: readers differ in which value they take."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("one name twice")


def _arrays(path: Path, facts: Mapping[str, ArrayFacts]) -> Arrays:
    """Exactly the arrays that are listed, each with the listed hash."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        if set(archive.files) != set(facts):
            raise BadFile(f"{path}: does not hold the arrays that the certificate lists")
        if sum(entry.file_size for entry in archive.zip.infolist()) > UNPACKED:
            raise BadFile(f"{path}: more than {UNPACKED} bytes when unpacked")
        arrays: Arrays = {}
        for name, expected in facts.items():
            arrays[name] = array = archive[name]
            if array.dtype.str not in DTYPES or ArrayFacts.of(array) != expected:
                raise BadFile(f"{path}: array '{name}' is not the one that was certified")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BadFile(f"{path}: array '{name}' has entries that are not finite")
            if array.dtype.kind == "i" and (np.clip(array, -WHOLE, WHOLE) != array).any():
                raise BadFile(f"{path}: array '{name}' has entries that no float64 holds")
    return arrays
