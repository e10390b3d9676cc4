"""``s2sw train-embedded``: train the embedded detector on generated pictures."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import one_line_errors

Start = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        show_default=False,
        help="An embedded.safetensors to start from, with a lower learning rate and full difficulty.",
    ),
]


def command(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, help="Where state and results go.", show_default=False)
    ],
    pictures: Annotated[int, typer.Option(min=512, help="Pictures to generate in all.")] = 6_000,
    passes: Annotated[float, typer.Option(min=0.1, help="How often each is drawn on average.")] = 3.0,
    start: Start = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pictures.")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="Processes that generate pictures.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the training process.")] = 1,
) -> None:
    """Train the small detector that comes with s2sw, on pictures that it generates itself.

    It reads the shipped stem and scikit-image's photographs (`pip install 's2sw[train]'`). It averages the
    weights of three runs, which take about two hours on two idle cores with AMX; with --start, it is one run
    from those weights. docs/embedded-model.md says how the shipped weights were made. To continue a run that
    was stopped, give the same command again. It writes embedded.safetensors, as the package ships it, and a
    bundle.

    Example:

    `s2sw train-embedded run --pictures 20000` then `s2sw screen SOURCE --bundle run/bundle --output OUT`
    """
    from s2sw.model.embedded_training.making import BUNDLE, make_embedded
    from s2sw.model.embedded_training.recipe import Recipe

    console = Console(highlight=False, soft_wrap=True)
    with one_line_errors():
        recipe = Recipe(seed, pictures, passes)
        exported = make_embedded(folder, recipe, start, workers, threads, console.print)
    console.print(f"{exported} and {folder / BUNDLE} are written", markup=False)
