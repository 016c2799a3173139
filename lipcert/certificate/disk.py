"""Certificates on disk: `certificate.json` for the facts, `arrays.npz` for the arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from pydantic import ValidationError

from lipcert.certificate.document import ArrayFacts, Document
from lipcert.errors import BadFile

FACTS, ARRAYS = "certificate.json", "arrays.npz"
LARGEST = 2**30  # bytes of either file
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
    """Both files; returns the path of the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(str(folder / ARRAYS), allow_pickle=False, **arrays)
    path = folder / FACTS
    path.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def load(path: str | Path) -> Stored:
    """The certificate in a folder, or of a `certificate.json`.

    Raises:
        BadFile: if a file is missing, malformed or was changed: a field of the wrong type, an
            unknown one, a number that is not finite, a hash that differs.
    """
    place = Path(path)
    place = place / FACTS if place.is_dir() else place
    archive = place.with_name(ARRAYS)
    try:
        if max(place.stat().st_size, archive.stat().st_size) > LARGEST:
            raise BadFile(f"{place}: more than {LARGEST} bytes")
        document = Document.model_validate_json(place.read_bytes())
        arrays = _arrays(archive, document.arrays)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the certificate"
        raise BadFile(f"{place}: {where}: {first['msg']}") from error
    except (OSError, ValueError, EOFError, BadZipFile, KeyError, MemoryError) as error:
        raise BadFile(f"{place}: cannot be read ({error})") from error
    return Stored(document, arrays, place)


def _arrays(path: Path, facts: Mapping[str, ArrayFacts]) -> dict[str, np.ndarray]:
    """Exactly the arrays that are listed, each with the listed hash."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        if set(archive.files) != set(facts):
            raise BadFile(f"{path}: does not hold the arrays that the certificate lists")
        arrays: dict[str, np.ndarray] = {}
        for name, expected in facts.items():
            arrays[name] = array = archive[name]
            if array.dtype.str not in DTYPES or ArrayFacts.of(array) != expected:
                raise BadFile(f"{path}: array '{name}' is not the one that was certified")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BadFile(f"{path}: array '{name}' has entries that are not finite")
    return arrays
