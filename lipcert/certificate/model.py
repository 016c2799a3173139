"""What every part of a certificate's JSON is: frozen, closed, and free of NaN and infinity."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Unknown fields, missing ones and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Count = Annotated[int, Field(ge=0)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal.")]
ArrayName = Annotated[str, Field(min_length=1, description="Name of an array of arrays.npz.")]
Bound = Annotated[float | None, Field(description="A proved bound; null where none was proved.")]
Row = tuple[float, ...]
BoundRow = tuple[Bound, ...]


class BoundTable(Model):
    """Proved bounds, one row per region, one column per output; outputs are flattened."""

    lower: tuple[BoundRow, ...]
    upper: tuple[BoundRow, ...]


class Table(Model):
    """Numbers that were seen, one row per region, one column per output, flattened."""

    lower: tuple[Row, ...]
    upper: tuple[Row, ...]


class NameTable(Model):
    """Names of relaxations, one row per region, one column per output, flattened."""

    lower: tuple[tuple[str, ...], ...]
    upper: tuple[tuple[str, ...], ...]
