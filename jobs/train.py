"""``s2sw train``: learn prompts, or linear layers, on labelled pictures."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2sw.jobs.devices import device_of, precision_of
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors

if TYPE_CHECKING:
    from s2sw.model.training.state import Curve, State
    from s2sw.pipeline.training.job import TrainSettings


def command(
    data: Annotated[
        str, typer.Argument(help="Labelled data set, as for `s2sw evaluate`.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the bundle.", show_default=False)
    ],
    clip: Annotated[
        str, typer.Option(help="CLIP weights, as for `s2sw bundle build`.")
    ] = "ViT-L-14-336/openai",
    detector: Annotated[str, typer.Option(help="s2swclip, anomalyclip or april_gan.")] = "s2swclip",
    recipe: Annotated[
        str, typer.Option(help="Published settings for training on MVTec AD (mvtec) or VisA (visa).")
    ] = "mvtec",
    activation: Annotated[
        str | None,
        typer.Option(help="quick_gelu or gelu, where the weights do not say it.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of data sets that name splits.")] = "test",
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures a step, instead of the recipe's.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Input side in pixels, of training and bundle alike.")
    ] = None,
    taps: Annotated[str, typer.Option(help="Of s2swclip: released or per_layer.")] = "released",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bundle.")] = 0,
    holdout: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of the pictures held out; the best epoch on them counts."),
    ] = 0.0,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a lower held-out loss.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Checkpoint to begin with instead of the seed's.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, or bf16 for tower and losses.")] = "fp32",
    work: Annotated[
        Path | None, typer.Option(help="Folder for state and curve.  [default: OUTPUT.training]")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder for cached features, to share among trainings.  [default: in --work]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train on labelled pictures with CLIP frozen, and write a bundle that is ready to screen.

    Pictures pass the visual tower once; their features are kept, and epochs read them. The same command again
    goes on after a kill. `--work` holds the learning curve (curve.csv) and the checkpoint, which
    `s2sw bundle build` takes too.

    Exit codes: 0 done, 2 the command, the weights or the data cannot work.

    Examples:

    `s2sw train /data/mvtec --output my-bundle`

    `s2sw train parts.csv -o my-bundle --clip ViT-L-14-336.pt --holdout 0.1 --patience 3`
    """
    from s2sw.connectors.datasets import DataSetError

    options = {"epochs": epochs, "batch": batch}
    sizes = {"image_size": image_size, "screen_size": image_size}
    with one_line_errors():
        settings = _settings(
            detector,
            recipe,
            {name: value for name, value in (options | sizes).items() if value is not None},
            seed=seed,
            holdout=holdout,
            patience=patience,
            device=device_of(device),
            precision=precision_of(precision),
            taps=taps,
            start=start_from,
        )
        try:
            _train(data, split, (clip, activation), output, work, features, settings, quiet)
        except DataSetError as error:
            fail(str(error), EXIT_USAGE)


def _settings(detector: str, recipe: str, changed: dict[str, Any], **more: Any) -> "TrainSettings":
    from s2sw.model.training.recipes import recipe_of
    from s2sw.pipeline.training.job import TrainSettings

    chosen = replace(recipe_of(detector, recipe), **changed)
    if more["patience"] is not None and not more["holdout"]:
        fail("--patience needs pictures to judge by; give --holdout 0.1", EXIT_USAGE)
    return TrainSettings(detector, chosen, **more)


def _train(
    data: str,
    split: str,
    clip: tuple[str, str | None],
    output: Path,
    work: Path | None,
    features: Path | None,
    settings: "TrainSettings",
    quiet: bool,
) -> None:
    from s2sw.connectors.datasets import open_dataset
    from s2sw.model.bundles.files import new_folder
    from s2sw.model.weights.hints import Hints, known_activation
    from s2sw.model.weights.openclip import find_clip
    from s2sw.pipeline.training.job import Watching, train_bundle

    new_folder(output)
    opened = open_dataset(data, split=split)
    chosen = known_activation(clip[1])
    weights = find_clip(clip[0], Hints(chosen))
    weights = weights.with_activation(chosen) if chosen else weights
    place = work or output.with_name(f"{output.name}.training")
    with _bars(quiet) as progress:
        watching = Watching(lambda total: _reading(progress, total), lambda e, s: _epochs(progress, e, s))
        state = train_bundle(opened, weights, output, place, settings, watching, features)
    if not quiet:
        _report(state, output, place)


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
