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
        saturation = file.document.provenance.saturation
        if saturation is not None and saturation.unsafe_layers:
            yield Words(
                f"On x86 processors without VNNI sums may saturate in "
                f"{', '.join(saturation.unsafe_layers)}: ONNX Runtime's default then computes "
                f"another function than the one certified. {'; or '.join(saturation.remedies)}.",
                "warning",
            )
        excess = _excess(file)
        if excess > 0:
            yield Words(
                f"The drift that the runtime computes exceeds a proved bound by up to "
                f"{above(excess, 2)}: its rounding is not part of the certified arithmetic.",
                "warning",
            )
        if file.result.runtime is not None:
            yield Words(f"Inputs that the search found were replayed: {file.result.runtime}.")


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
