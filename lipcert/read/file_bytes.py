"""Bytes of files that are opened without trust."""

import stat
from pathlib import Path

from lipcert.errors import BadFile


def regular_bytes(
    path: Path, most: int | None, offset: int = 0, length: int | None = None
) -> bytes:
    """Bytes of a regular file: never of a pipe or a device, which might not end."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise BadFile(f"{path}: not a regular file")
        if most is not None and facts.st_size > most:
            raise BadFile(f"{path}: {facts.st_size} bytes, more than the {most} that are read")
        if length is not None and offset + length > facts.st_size:
            raise BadFile(f"{path}: ends before byte {offset + length}; it is truncated")
        with path.open("rb") as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)
    except (OSError, ValueError) as error:
        raise BadFile(f"{path}: cannot be read ({error})") from error
