"""`lipcert lipschitz`."""

import json
from pathlib import Path

import torch
import typer

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.bound import LipschitzBound, PairBounds
from lipcert.lipschitz.outputs import OutputBounds, lipschitz_by_output
from lipcert.lipschitz.outputs_view import outputs_table
from lipcert.lipschitz.prove import LIMIT_SECONDS, Effort
from lipcert.lipschitz.store import document_of
from lipcert.lipschitz.sweep import Swept
from lipcert.lipschitz.sweep import sweep as sweep_of
from lipcert.lipschitz.sweep_view import curves_module, draw_sweep, sweep_table
from lipcert.lipschitz.table import lipschitz_table
from lipcert.options import (
    Asked,
    Between,
    Clip,
    Eps,
    Inputs,
    Json,
    Limit,
    Metric,
    Metrics,
    Model,
    Other,
    Out,
    Read,
    Seed,
    Sweeping,
    Threads,
)
from lipcert.read import read_file
from lipcert.report.progress import bar
from lipcert.terminal import complaints, idle_cores, output, say


def command(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    model: Model,
    compressed: Other = None,
    norm: Metrics = Metric.TWO,
    inputs: Inputs = None,
    eps: Eps = None,
    box: Between = None,
    clip: Clip = None,
    limit: Limit = LIMIT_SECONDS,
    threads: Threads = None,
    out: Out = None,
    as_json: Json = False,
    seed: Seed = 0,
    sweep: Sweeping = False,
    outputs: Read = None,
) -> None:
    """Bound the Lipschitz constant of MODEL, over all inputs or over regions."""
    if sweep and outputs is not None:
        raise typer.BadParameter("--sweep bounds all outputs jointly: leave --outputs out")
    asked = Asked.maybe(inputs, eps, box, clip, norm)
    if sweep:
        _swept(model, compressed, asked, (norm, limit, seed, threads), (out, as_json))
        return
    with complaints() as errors:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)  # what cannot be saved is refused before work
        torch.set_num_threads(threads or idle_cores())
        network = read_file(model) if compressed is None else lipcert.load_pair(model, compressed)
        shape = (network if isinstance(network, LayerGraph) else network.original).input.shape
        region = None if asked is None else asked.region(shape)
        effort = Effort(limit, Ascent(seed=seed))
        with bar(errors) as watch:
            if outputs is None:
                made = lipcert.lipschitz(
                    network, norm=norm, region=region, effort=effort, watch=watch
                )
            else:
                made = lipschitz_by_output(
                    network, outputs, norm=norm, region=region, effort=effort, watch=watch
                )
        if as_json:
            typer.echo(_json(made))
        else:
            single = isinstance(made, OutputBounds)
            output().print(outputs_table(made) if single else lipschitz_table(made.parts()))
        if out is not None:
            say(f"saved: {made.save(out)}", errors if as_json else output())


def _json(made: LipschitzBound | PairBounds | OutputBounds) -> str:
    if isinstance(made, OutputBounds):
        return json.dumps(made.facts(), indent=2, allow_nan=False)
    return document_of(made.parts())[0].model_dump_json(indent=2)


def _swept(
    model: Path,
    compressed: Path | None,
    asked: Asked | None,
    options: tuple[Metric, float, int, int | None],
    told: tuple[Path | None, bool],
) -> None:
    """The sweep of one model, as a table, a CSV file and a picture."""
    if compressed is not None:
        raise typer.BadParameter("--sweep compresses MODEL itself: leave COMPRESSED out")
    norm, limit, seed, threads = options
    out, as_json = told[0] or Path("sweep"), told[1]
    with complaints() as errors:
        curves_module()  # what cannot be drawn is refused before work
        out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(threads or idle_cores())
        region = None if asked is None else asked.region(read_file(model).input.shape)
        effort = Effort(limit, Ascent(seed=seed))
        wanted = Swept(norm, region, effort, DriftAttack(seed=seed))
        with bar(errors) as watch:
            made = sweep_of(model, wanted, watch=watch)
        if as_json:
            typer.echo(json.dumps(made.facts(), indent=2, allow_nan=False))
        else:
            output().print(sweep_table(made))
        text = f"saved: {made.save(out)} and {draw_sweep(made, out / 'sweep.png')}"
        say(text, errors if as_json else output())
