"""``s2sw bundle``: build, show and verify detector bundles."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.errors import one_line_errors

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Build, show and verify detector bundles.\n\n"
    "A bundle is a folder with everything that the detector needs: the CLIP's visual weights, the class "
    "vectors that were computed once from the prompts, and `bundle.json`. It is sealed by SHA-256: a changed "
    "byte is refused. Its fingerprint names every result that was made with it.",
)

Folder = Annotated[Path, typer.Argument(help="folder of the bundle", metavar="BUNDLE", show_default=False)]


@app.command(no_args_is_help=True)
def build(
    out: Annotated[Path, typer.Argument(help="new folder for the bundle", show_default=False)],
    clip: Annotated[
        str,
        typer.Option(
            help="CLIP weights: an open_clip name (downloaded, or from its cache), OpenAI's `.pt`, or an "
            "open_clip or Hugging Face `.safetensors` file (a config beside it is read)"
        ),
    ] = "ViT-L-14-336/openai",
    prompts: Annotated[
        str,
        typer.Option(
            help="learned prompts, a `.pth` or `.safetensors` file; or `handwritten`, which needs no training"
        ),
    ] = "handwritten",
    image_size: Annotated[
        int,
        typer.Option(
            help="side of the square input in pixels: 518 for image scores, 490 for maps with prompts "
            "trained on MVTec AD, 410 with prompts trained on VisA"
        ),
    ] = 518,
    wavelet: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="weight of the wavelet map; 0.1 for MVTec-trained prompts, 0.5 for VisA"
        ),
    ] = 0.1,
    taps: Annotated[
        str,
        typer.Option(
            help="`released`: as published checkpoints were measured; `per_layer`: the paper's text"
        ),
    ] = "released",
    activation: Annotated[
        str | None,
        typer.Option(
            help="`quick_gelu` or `gelu`, where the weights file does not say it", show_default=False
        ),
    ] = None,
    detector: Annotated[str, typer.Option(help="kind of detector")] = "s2swclip",
) -> None:
    """Build a bundle from CLIP weights and prompts.

    `s2sw bundle build my-bundle --clip ViT-L-14-336/openai --prompts authors.pth`

    Without network: fetch the weights file elsewhere and give its path to `--clip`.
    """
    from model.bundle import build_bundle

    with one_line_errors():
        build_bundle(
            out,
            clip,
            image_size=image_size,
            detector=detector,
            activation=activation,
            prompts=prompts,
            mix=(1 - wavelet, wavelet),
            taps=taps,
        )
        _print(out)


@app.command(no_args_is_help=True)
def show(folder: Folder) -> None:
    """Show what a bundle says about itself: detector, tower, prompts, settings, fingerprint."""
    with one_line_errors():
        _print(folder)


@app.command(no_args_is_help=True)
def verify(folder: Folder) -> None:
    """Check every byte of a bundle against its seal, and that the detector loads. Exit code 2 if not."""
    from model.bundle import load_detector

    with one_line_errors():
        detector = load_detector(folder)
    Console().print(f"{folder}: whole, fingerprint {detector.fingerprint}", highlight=False, soft_wrap=True)


def _print(folder: Path) -> None:
    from model.record import read_record

    record = read_record(folder, check_weights=False)
    vision = record.vision
    rows = {
        "detector": record.detector,
        "CLIP": record.clip if record.trained else f"{record.clip} (untrained: scores mean nothing)",
        "prompts": record.prompts,
        "input": f"{record.image_size} x {record.image_size} px, {record.grid} x {record.grid} patches",
        "tower": f"{vision.layers} blocks of width {vision.width}, patch {vision.patch}, {vision.activation}",
        "families": ", ".join(record.family_names) or "none",
        **{name.replace("_", " "): str(value) for name, value in record.settings.items()},
        "fingerprint": record.fingerprint,
    }
    console = Console(soft_wrap=True, highlight=False)
    for name, value in rows.items():
        console.print(f"{name:<16} {value}", markup=False)
