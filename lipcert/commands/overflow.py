"""`lipcert overflow`."""

import json

import typer

from lipcert.integer import overflow
from lipcert.options import Asked, Between, Clip, Eps, Inputs, Json, Model, Norm, Step
from lipcert.read.integer import read_kernels
from lipcert.report.overflow import overflow_facts, overflow_table
from lipcert.terminal import UNMET, complaints, output


def command(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    model: Model,
    inputs: Inputs = None,
    eps: Eps = None,
    box: Between = None,
    clip: Clip = None,
    grid: Step = None,
    as_json: Json = False,
) -> None:
    """Say which layers of a quantised MODEL can saturate on x86 processors without VNNI."""
    given = any(option is not None for option in (inputs, eps, box, clip, grid))
    asked = Asked(inputs, eps, box, clip, Norm.MAX, grid) if given else None
    with complaints():
        program = read_kernels(model)
        report = overflow(program, None if asked is None else asked.region(program.input_shape))
    if as_json:
        typer.echo(json.dumps(overflow_facts(report), indent=2))
    else:
        output().print(overflow_table(report))
    raise typer.Exit(0 if report.safe else UNMET)
