"""``s2sw train``: learn what a detector learns, on labelled pictures with CLIP frozen."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2sw.jobs.devices import device_of, precision_of
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors

if TYPE_CHECKING:
    from s2sw.model.training.state import Curve, State
    from s2sw.pipeline.training.job import Watching

Data = Annotated[str, typer.Argument(help="Labelled data set, as for `s2sw evaluate`.", show_default=False)]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="New folder for the bundle.", show_default=False)
]
Clip = Annotated[str, typer.Option(help="CLIP weights, as for `s2sw bundle build`.")]
Trained = Annotated[str, typer.Option(help="s2swclip, anomalyclip, april_gan or adaptclip.")]
Recipe = Annotated[
    str, typer.Option(help="Published settings for training on MVTec AD (mvtec) or VisA (visa).")
]
Activation = Annotated[
    str | None, typer.Option(help="quick_gelu or gelu, where the weights do not say it.", show_default=False)
]
Split = Annotated[str, typer.Option(help="Split to use, of data sets that have splits.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Epochs.  [default: the recipe's]")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Pictures per step.  [default: the recipe's]")]
ImageSize = Annotated[
    int | None,
    typer.Option(min=1, help="Input side of training and bundle, in pixels.  [default: the recipe's]"),
]
Taps = Annotated[str, typer.Option(help="For s2swclip: released or per_layer.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same bundle.")]
Holdout = Annotated[
    float,
    typer.Option(min=0, max=0.9, help="Share of the pictures held out, on which the best epoch is chosen."),
]
Patience = Annotated[
    int | None, typer.Option(min=1, help="Stop after this many epochs without a lower held-out loss.")
]
Start = Annotated[
    Path | None, typer.Option(help="Checkpoint to start from, instead of random values.", show_default=False)
]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]
InPrecision = Annotated[
    str, typer.Option("--precision", help="fp32, or bf16 for both towers; losses are always fp32.")
]
Work = Annotated[Path | None, typer.Option(help="Folder for state and curve.  [default: OUTPUT.training]")]
Features = Annotated[
    Path | None,
    typer.Option(help="Folder for cached features, to share between trainings.  [default: in --work]"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]

HELP = """Train on labelled pictures with CLIP frozen, and write a bundle that is ready to screen.

Each picture passes the visual tower once; its features are stored, and epochs read them. To continue after
a kill, give the same command again. `--work` holds the learning curve (curve.csv) and the checkpoint, which
`s2sw bundle build` also takes.

Exit codes: 0 done, 2 the command, the weights or the data is wrong.

Examples:

`s2sw train /data/mvtec --output my-bundle`

`s2sw train parts.csv -o my-bundle --clip ViT-L-14-336.pt --holdout 0.1 --patience 3`
"""


def command(
    data: Data,
    output: Output,
    clip: Clip = "ViT-L-14-336/openai",
    detector: Trained = "s2swclip",
    recipe: Recipe = "mvtec",
    activation: Activation = None,
    split: Split = "test",
    epochs: Epochs = None,
    batch: BatchSize = None,
    image_size: ImageSize = None,
    taps: Taps = "released",
    seed: Seed = 0,
    holdout: Holdout = 0.0,
    patience: Patience = None,
    start_from: Start = None,
    device: Device = "auto",
    precision: InPrecision = "fp32",
    work: Work = None,
    features: Features = None,
    quiet: Quiet = False,
) -> None:
    """Train on labelled pictures and write a bundle; HELP tells users more."""
    from s2sw.model.training.recipes import recipe_of
    from s2sw.pipeline.training.job import Inputs, TrainSettings, train_named

    if patience is not None and not holdout:
        fail("--patience needs held-out pictures; give --holdout 0.1 as well", EXIT_USAGE)
    place = work or output.with_name(f"{output.name}.training")
    with one_line_errors(), _data_errors():
        where, products = device_of(device), precision_of(precision, ("fp32", "bf16"))
        chosen = recipe_of(detector, recipe).changed(epochs, batch, image_size)
        settings = TrainSettings(detector, chosen, seed, holdout, patience, where, products, taps, start_from)
        inputs = Inputs(data, split, clip, activation)
        with _bars(quiet) as progress:
            state = train_named(inputs, output, place, settings, _watching(progress), features)
    if not quiet:
        _report(state, output, place)


@contextlib.contextmanager
def _data_errors() -> Iterator[None]:
    from s2sw.connectors.datasets import DataSetError

    try:
        yield
    except DataSetError as error:
        fail(str(error), EXIT_USAGE)


def _watching(progress: Progress) -> "Watching":
    from s2sw.pipeline.training.job import Watching

    return Watching(lambda total: _reading(progress, total), lambda e, s: _epochs(progress, e, s))


def _report(state: "State", output: Path, work: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    last = state.curve[-1]
    losses = ", ".join(
        f"{name} {value:.4f}" for name, value in last.items() if name not in ("epoch", "seconds")
    )
    console.print(f"{state.epoch} epochs; in the last one: {losses}", markup=False)
    if state.best_epoch:
        console.print(f"Best on the held-out pictures: epoch {state.best_epoch}, loss {state.best_loss:.4f}")
    console.print(f"Bundle: {output}; learning curve and checkpoint: {work}", markup=False)


def _bars(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True)


@contextlib.contextmanager
def _reading(progress: Progress, total: int) -> Iterator[Callable[[], None]]:
    task = progress.add_task("visual pass", total=total, text="")
    yield lambda: progress.advance(task)


@contextlib.contextmanager
def _epochs(progress: Progress, epochs: int, steps: int) -> Iterator[Callable[["State", "Curve"], None]]:
    task = progress.add_task("training", total=epochs * steps, text="")

    def follow(state: "State", means: "Curve") -> None:
        text = f"epoch {state.epoch + 1}, loss {means['total']:.4f}"
        progress.update(task, completed=state.epoch * steps + state.step, text=text)

    yield follow
