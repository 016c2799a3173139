"""What a deployed runtime may do otherwise."""

from collections.abc import Iterator

from lipcert.report.blocks import Block, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import above


class Runtime(Chapter):
    """Warnings, and what the replay showed."""

    rank, title = 60, "Runtime"

    def blocks(self, file: File) -> Iterator[Block]:
        """Saturation, drifts beyond the bounds, and who replayed."""
        saturation = _saturation(file)
        if saturation is not None:
            yield saturation
        excess = _excess(file)
        if excess > 0:
            yield Words(
                f"The drift that the runtime computes exceeds a proved bound by up to "
                f"{above(excess, 2)}: its rounding is not part of the certified arithmetic.",
                "warning",
            )
        if file.result.runtime is not None:
            yield Words(_replayed(file, file.result.runtime))


def _saturation(file: File) -> Words | None:
    """Of int8 networks: whether x86 processors without VNNI compute what was certified."""
    found = file.document.provenance.saturation
    if found is None:
        return None
    where = "On x86 processors without VNNI"
    if not found.unsafe_layers:
        return Words(f"{where} no sum can saturate over the regions: that was proved.")
    layers = f"{where} sums may saturate in {', '.join(found.unsafe_layers)}"
    if file.document.claim.semantics.compressed == "ort-x86-sat16":
        return Words(f"{layers}: the certified arithmetic includes that.")
    remedies = "; or ".join(found.remedies)
    return Words(
        f"{layers}: ONNX Runtime's default then computes another function than the one "
        f"certified. What helps: {remedies}.",
        "warning",
    )


def _replayed(file: File, runtime: str) -> str:
    """Who computed the drifts that were found again, and how large they are there."""
    seen, here = file.result.observed_runtime, file.seen
    if seen is None or here is None:
        return "No runtime has computed again what the search found."
    told = f"Inputs that the search found were replayed: {runtime}."
    sides = (*seen.lower, *seen.upper)
    sizes = [abs(drift) for row in sides for drift in row if drift is not None]
    there = f"{max(sizes, default=0.0):.4g}"
    return f"{told} Their largest drift is {there} there, {max(here):.4g} as certified."


def _excess(file: File) -> float:
    """How far the runtime's drifts lie beyond the proved bounds."""
    proved, seen = file.result.drift, file.result.observed_runtime
    if seen is None:
        return 0.0
    most = 0.0
    for row in range(len(proved.lower)):
        sides = (*zip(proved.lower[row], seen.lower[row], strict=True),)
        most = max([most, *(p - s for p, s in sides if p is not None and s is not None)])
        sides = (*zip(proved.upper[row], seen.upper[row], strict=True),)
        most = max([most, *(s - p for p, s in sides if p is not None and s is not None)])
    return most
