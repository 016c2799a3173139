"""The command line's options: their types, their help, and what they say together."""

from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lipcert import methods
from lipcert.graph.semantics import Semantics
from lipcert.lipschitz.outputs import Outputs
from lipcert.methods.base import Method
from lipcert.numeric.norm import Norm as Metric
from lipcert.read import read_inputs
from lipcert.sets.region import Ball, Box, Grid, Region

METHODS = methods.scan()


class Norm(StrEnum):
    """Norms of a region around an input."""

    MAX = "inf"
    EUCLIDEAN = "2"


class Device(StrEnum):
    """Where bounds are computed."""

    CPU = "cpu"
    CUDA = "cuda"


class Dtype(StrEnum):
    """In what bounds are computed; they are proved in either."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


def number(text: str) -> float:
    """A decimal or a fraction such as 0.1/255."""
    over, slash, under = text.partition("/")
    try:
        return float(Fraction(over) / Fraction(under)) if slash else float(text)
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"'{text}' is not a number or a fraction") from error


def known_method(name: str) -> str:
    """The name of a method."""
    if name not in METHODS:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(METHODS)}")
    return name


def allowed_drift(drift: float | None) -> float | None:
    """A drift that can be asked for."""
    if drift is not None and not 0 <= drift < float("inf"):
        raise typer.BadParameter(f"{drift} is not a finite number that is zero or more")
    return drift


Other = Annotated[
    Path | None, typer.Argument(metavar="[COMPRESSED]", help="Its twin: then of both and of g - f.")
]
Metrics = Annotated[
    Metric, typer.Option("--norm", help="Of inputs and outputs; with 2, --eps is an l2 radius.")
]
Limit = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="Of one search for multipliers.")
]
Searching = Annotated[
    float | None,
    typer.Option(
        "--limit",
        min=0.0,
        metavar="SECONDS",
        help="Of the searches for one input, and as much again where --out saves; 60, sdp only.",
    ),
]
Sweeping = Annotated[
    bool, typer.Option("--sweep", help="Quantise and prune MODEL; a CSV and a picture in --out.")
]
Original = Annotated[
    Path, typer.Argument(metavar="ORIGINAL", help="The original, .onnx or .tflite.")
]
Compressed = Annotated[Path, typer.Argument(metavar="COMPRESSED", help="Its twin, likewise.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help=".onnx or .tflite.")]
Inputs = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Inputs: .npy, file.npz:key, or a folder of images."),
]
Eps = Annotated[
    float | None,
    typer.Option(parser=number, metavar="E", help="Radius around each input, as 0.01 or 1/255."),
]
Between = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--box",
        metavar="LOWER UPPER",
        help="Instead of --inputs and --eps: all inputs between two numbers or files.",
    ),
]
Clip = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="Valid range of every input coordinate."),
]
Norms = Annotated[Norm, typer.Option(help="Norm of --eps.")]
Step = Annotated[
    float | None,
    typer.Option(parser=number, metavar="STEP", help="Only multiples of STEP: integer pixels."),
]
MethodName = Annotated[
    str,
    typer.Option(callback=known_method, metavar="|".join(METHODS), help="Relaxation."),
]
Arithmetic = Annotated[Semantics, typer.Option(help="Arithmetic that COMPRESSED is executed in.")]
MaxDrift = Annotated[
    float | None,
    typer.Option(
        parser=number,
        callback=allowed_drift,
        metavar="D",
        help="Allowed drift: exit status 0 if proved, 1 if refuted or unproved.",
    ),
]
Devices = Annotated[Device, typer.Option(help="Where bounds are computed.")]
Dtypes = Annotated[Dtype, typer.Option(help="In what bounds are computed; proved in either.")]
Memory = Annotated[
    float | None,
    typer.Option(min=0.01, metavar="GIB", help="Memory to use; three quarters of what is free."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads; by default, idle cores.")
]
Budget = Annotated[
    bool, typer.Option("--budget", help="Split the bound by source; twin bounds only.")
]
Read = Annotated[
    Outputs | None,
    typer.Option(
        "--outputs", help="Of each output, or of differences of two, instead of all jointly."
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Save the result there: JSON and arrays.")
]
Json = Annotated[bool, typer.Option("--json", help="The same facts as JSON on standard output.")]
Junit = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="JUnit XML there: one test case per input."),
]
SarifFile = Annotated[
    Path | None,
    typer.Option("--sarif", metavar="FILE", help="Findings there, as SARIF 2.1.0."),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the search for drift.")]


def chosen_method(name: str, budget: bool, limit: float | None = None) -> Method:
    """The method, asked for a budget and held to a limit where it can be."""
    kind, options = METHODS[name], dict[str, bool | float]()
    if budget:
        options["budget"] = True
    if limit is not None:
        options["limit_seconds"] = limit
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type] - dataclasses
    if "budget" in options and "budget" not in known:
        raise typer.BadParameter(f"--budget: the method '{name}' has none; use twin")
    if "limit_seconds" in options and "limit_seconds" not in known:
        raise typer.BadParameter(f"--limit: the method '{name}' makes no searches; only sdp does")
    return kind(**options)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which inputs are asked about."""

    inputs: str | None
    eps: float | None
    box: tuple[str, str] | None
    clip: tuple[float, float] | None
    norm: Norm
    grid: float | None

    def __post_init__(self) -> None:
        """Refuse options that do not go together."""
        around = (self.inputs, self.eps, self.clip, self.grid)
        if self.box is not None:
            if any(option is not None for option in around) or self.norm is not Norm.MAX:
                raise typer.BadParameter("--box stands alone: no --inputs, --eps, --clip, --norm "
                                         "or --grid beside it")  # fmt: skip
        elif self.inputs is None or self.eps is None:
            raise typer.BadParameter("give --inputs FILE and --eps E, or --box LOWER UPPER")
        if self.grid is not None and self.norm is not Norm.MAX:
            raise typer.BadParameter("--grid goes with --norm inf only")

    @classmethod
    def maybe(
        cls,
        inputs: str | None,
        eps: float | None,
        box: tuple[str, str] | None,
        clip: tuple[float, float] | None,
        metric: Metric,
    ) -> "Asked | None":
        """None where nothing was asked; balls around inputs for the l2 norm, else boxes."""
        if all(option is None for option in (inputs, eps, box, clip)):
            return None
        euclidean = metric is Metric.TWO and box is None
        return cls(inputs, eps, box, clip, Norm.EUCLIDEAN if euclidean else Norm.MAX, None)

    def region(self, shape: tuple[int, ...]) -> Region:
        """The region, for networks that read inputs of `shape`."""
        if self.box is not None:
            return _between(self.box, shape)
        assert self.inputs is not None
        assert self.eps is not None
        inputs = read_inputs(self.inputs)
        if self.norm is Norm.EUCLIDEAN:
            return Ball.around(inputs, self.eps, self.clip)
        if self.grid is not None:
            return Grid.around(inputs, self.eps, self.clip, step=self.grid)
        return Box.around(inputs, self.eps, self.clip)


def _between(ends: tuple[str, str], shape: tuple[int, ...]) -> Box:
    """A box between two numbers, two files, or one of each."""
    found = [_end(text) for text in ends]
    shapes = [end.shape for end in found if end.ndim > 0]
    whole = shapes[0] if shapes else (1, *shape)
    lower, upper = (np.broadcast_to(e, whole) if e.ndim == 0 else e for e in found)
    return Box.between(lower, upper)


def _end(text: str) -> np.ndarray:
    try:
        return np.asarray(number(text))
    except typer.BadParameter:
        return read_inputs(text)
