"""``s2sw bundle``: build, show and verify detector bundles."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from s2sw.jobs.errors import one_line_errors

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
    detector: Annotated[
        str, typer.Option(help="`s2swclip`, `anomalyclip`, `april_gan`, `winclip`, `dino` or `embedded`")
    ] = "s2swclip",
    clip: Annotated[
        str | None,
        typer.Option(
            help="CLIP weights: an open_clip name (downloaded, or from its cache), OpenAI's `.pt`, or an "
            "open_clip or Hugging Face `.safetensors` file (a config beside it is read)  "
            "[default: ViT-L-14-336/openai; winclip: ViT-B-16-plus-240/laion400m_e32]",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="s2swclip, anomalyclip: learned prompts, a `.pth` or `.safetensors` file; or `handwritten`, "
            "which needs no training  [default: handwritten]",
            show_default=False,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="side of the square input in pixels; for s2swclip 518 for image scores, 490 for maps with "
            "prompts trained on MVTec AD, 410 with prompts trained on VisA  [default: 518; winclip: 240; "
            "dino: 448; embedded: 350]",
            show_default=False,
        ),
    ] = None,
    wavelet: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="s2swclip: weight of the wavelet map; 0.1 for MVTec-trained prompts, 0.5 for VisA  "
            "[default: 0.1]",
            show_default=False,
        ),
    ] = None,
    taps: Annotated[
        str | None,
        typer.Option(
            help="s2swclip: `released`, as published checkpoints were measured, or `per_layer`, the paper's "
            "text  [default: released]",
            show_default=False,
        ),
    ] = None,
    class_name: Annotated[
        list[str] | None,
        typer.Option(
            help="april_gan, winclip: what the pictures show, such as `bottle`; once for each kind of object",
            show_default=False,
        ),
    ] = None,
    linear: Annotated[
        str | None,
        typer.Option(help="april_gan: checkpoint of its learned linear layers", show_default=False),
    ] = None,
    stem: Annotated[
        str | None,
        typer.Option(
            help="dino: weights of DINOv2 ViT-S/14, B/14 or L/14, with registers or without: a `.pt`, `.pth` "
            "or `.safetensors` file in the original, timm's or Hugging Face's naming",
            show_default=False,
        ),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            help="april_gan, winclip, dino, embedded: a few normal pictures to compare with: a folder (with "
            "several class names, a folder in it for each), or a query with a column `uri`, such as `SELECT "
            "uri FROM 'results/objects/*.parquet' ORDER BY max_score LIMIT 4`",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="april_gan with references: `LOW,HIGH`, the map's maxima that count as 0 and 1; or pictures "
            "like those to be screened, as for --references",
            show_default=False,
        ),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            help="april_gan: keep `exact` maps, or `compact` ones of a quarter the size  [default: exact]",
            show_default=False,
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="`quick_gelu` or `gelu`, where the weights file does not say it", show_default=False
        ),
    ] = None,
) -> None:
    """Build a bundle from CLIP weights and prompts. docs/detectors.md says which detector suits what.

    `s2sw bundle build my-bundle --clip ViT-L-14-336/openai --prompts authors.pth`

    `s2sw bundle build bottles --detector winclip --class-name bottle --references normal-bottles/`

    Without network: fetch the weights file elsewhere and give its path to `--clip`.
    """
    from s2sw.model.detectors.bundling import build_bundle
    from s2sw.model.detectors.registry import detector_kind

    options: dict[str, Any] = {
        "prompts": prompts,
        "mix": None if wavelet is None else (1 - wavelet, wavelet),
        "taps": taps,
        "class_name": class_name or None,
        "linear": linear,
        "stem": stem,
        "maps": maps,
    }
    with one_line_errors():
        kind = detector_kind(detector)
        side = image_size or kind.image_size
        pictures = _pictures(references, calibration, class_name or [], side)
        if (
            kind.bundle is not None and references is not None
        ):  # it knows one kind of pictures, without a name
            pictures["references"] = _unnamed(references, side)
        given = {name: value for name, value in (options | pictures).items() if value is not None}
        build_bundle(out, clip, image_size=side, detector=detector, activation=activation, **given)
        _print(out)


def _pictures(
    references: str | None, calibration: str | None, class_names: list[str], side: int
) -> dict[str, Any]:
    """Read the pictures that two options of build name."""
    from s2sw.jobs.references import normal_pictures, two_numbers

    found: dict[str, Any] = {}
    for option, source in (("references", references), ("calibration", calibration)):
        if source is not None:
            numbers = two_numbers(source) if option == "calibration" else None
            # without class names the detector's own check says what is missing
            found[option] = numbers or (class_names and normal_pictures(source, class_names, side, option))
    return found


def _unnamed(source: str, side: int) -> Any:
    from s2sw.jobs.references import normal_pictures

    return normal_pictures(source, ("normal",), side, "references")["normal"]


@app.command(no_args_is_help=True)
def ensemble(
    out: Annotated[Path, typer.Argument(help="new folder for the bundle", show_default=False)],
    members: Annotated[
        list[str],
        typer.Argument(help="folders of bundles, with a weight or without", metavar="FOLDER[=WEIGHT]..."),
    ],
) -> None:
    """Build a bundle of other bundles: scores and maps are their weighted means.

    Detectors on the same tower, such as s2swclip and anomalyclip, cost one pass together.

    `s2sw bundle ensemble both my-s2swclip=2 my-anomalyclip=1`
    """
    from s2sw.jobs.references import weighted_members
    from s2sw.model.detectors.ensemble import build_ensemble

    with one_line_errors():
        build_ensemble(out, weighted_members(members))
        _print(out)


@app.command(no_args_is_help=True)
def show(folder: Folder) -> None:
    """Show what a bundle says about itself: detector, tower, prompts, settings, fingerprint."""
    with one_line_errors():
        _print(folder)


@app.command(no_args_is_help=True)
def verify(folder: Folder) -> None:
    """Check every byte of a bundle against its seal, and that the detector loads. Exit code 2 if not."""
    from s2sw.model.detectors.bundling import load_detector

    with one_line_errors():
        detector = load_detector(folder)
    Console().print(f"{folder}: whole, fingerprint {detector.fingerprint}", highlight=False, soft_wrap=True)


def _print(folder: Path) -> None:
    from s2sw.model.bundles.record import read_record

    record = read_record(folder, check_weights=False)
    vision = record.vision
    rows = {
        "detector": record.detector,
        "CLIP": record.clip if record.trained else f"{record.clip} (untrained: scores mean nothing)",
        "prompts": record.prompts,
        "input": f"{record.image_size} x {record.image_size} px, {record.grid} x {record.grid} patches",
        "tower": f"{vision.layers} blocks of width {vision.width}, patch {vision.patch}, {vision.activation}",
        "families": ", ".join(record.family_names) or "none",
        **{name.replace("_", " "): _shown(name, value) for name, value in record.settings.items()},
        "fingerprint": record.fingerprint,
    }
    console = Console(soft_wrap=True, highlight=False)
    for name, value in rows.items():
        console.print(f"{name:<16} {value}", markup=False)


def _shown(name: str, value: Any) -> str:
    if name != "members":
        return ", ".join(map(str, value)) if name == "class_names" else str(value)
    return ", ".join(f"{member['record']['detector']} {member['weight']:.3g}" for member in value)
