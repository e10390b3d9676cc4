"""``s2sw bundle build``: a sub-command a system, made of the options that the system declares."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

import typer
from typer.core import TyperGroup

from s2sw.jobs.build_file import arguments_of
from s2sw.jobs.configuration import is_configuration
from s2sw.jobs.errors import one_line_errors

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from s2sw.model.detectors.kinds import DetectorKind

OLD_FORM = "--detector"
GENERAL = ("clip", "image_size", "activation")
"""What every system is built from, beside its own options."""
DEFAULT = "s2swclip"
ANY = "any"
"""The one class of pictures that need no class name."""

Mark = TypeVar("Mark")

HELP = """Build a bundle from CLIP weights and a system's checkpoint; docs/detectors.md says which to use.

`s2sw bundle build s2swclip my-bundle --clip ViT-L-14-336/openai --prompts authors.pth`

`s2sw bundle build winclip bottles --class-name bottle --references normal-bottles/`

`s2sw bundle build SYSTEM --help` lists a system's options;
`s2sw bundle build FILE.yaml` takes them from a file.
`s2sw bundle build OUT --detector SYSTEM ...` is the older form of the same command.

Without network access: download the weights file elsewhere and give its path to `--clip`.
"""


class Systems(TyperGroup):
    """The systems as sub-commands, each made when it is asked for: declaring them takes PyTorch."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the systems."""
        from s2sw.model.detectors.registry import SYSTEMS

        return list(SYSTEMS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command that builds a system; ends the command with one line for an unknown one."""
        with one_line_errors():
            return system_command(cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of both forms, or of a file."""
        systems = self.list_commands(ctx)
        if args and is_configuration(args[0]):
            with one_line_errors():
                return super().parse_args(ctx, [*arguments_of(Path(args[0]), DEFAULT, flags()), *args[1:]])
        return super().parse_args(ctx, system_first(args, systems))


def system_first(args: Sequence[str], systems: Sequence[str]) -> list[str]:
    """Return ``OUT ... --detector SYSTEM ...`` as ``SYSTEM OUT ...``, and other arguments as they are."""
    rest: list[str] = []
    found = None
    given = iter(args)
    for arg in given:
        name, equals, value = arg.partition("=")
        if name == OLD_FORM:
            found = value if equals else next(given, "")
        else:
            rest.append(arg)
    if found is None and (not rest or rest[0] in (*systems, "--help")):
        return rest
    return [DEFAULT if found is None else found, *rest]


def system_command(name: str) -> Any:
    """Return the command that builds bundles of one system; raises BundleError for an unknown one."""
    from s2sw.model.detectors.registry import detector_kind

    kind = detector_kind(name)

    def run(
        out: Path, clip: str | None, image_size: int | None, activation: str | None, **values: Any
    ) -> None:
        from s2sw.jobs.bundle_text import print_bundle
        from s2sw.model.detectors.bundling import build_bundle

        with one_line_errors():
            side = image_size or kind.image_size
            given = given_options(name, values, side)
            build_bundle(out, clip, image_size=side, detector=name, activation=activation, **given)
            print_bundle(out)

    run.__signature__ = inspect.Signature(list(_parameters(name, kind)))  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    published = _published(kind)
    app.command(name, help=published, short_help=published, no_args_is_help=True)(run)
    return typer.main.get_command(app)


def _published(kind: "DetectorKind") -> str:
    """Return what is published of a system, and what it is good for."""
    told = kind.publication
    if told is None:
        return ""
    return (
        f"{told.name}. Checkpoint: {told.checkpoint}. Licence: {told.licence}. Tower and input: {kind.clip}, "
        f"{kind.image_size} px. Trained on: {told.trained_on}. Notes: {told.means}."
    )


def _parameters(name: str, kind: "DetectorKind") -> Iterator[inspect.Parameter]:
    """Yield what the command takes; options of other systems are hidden, so that they end in one line."""
    yield _parameter("out", Path, typer.Argument(help="new folder for the bundle", show_default=False))
    texts = (
        "CLIP weights: an open_clip name (downloaded, or from its cache), OpenAI's `.pt`, or an open_clip or "
        f"Hugging Face `.safetensors` file (a config beside it is read)  [default: {kind.clip}]",
        f"side of the square input, pixels  [default: {kind.image_size}]",
        "`quick_gelu` or `gelu`, where the weights file does not say it",
    )
    for option, of_type, text in zip(GENERAL, (str, int, str), texts, strict=True):
        unused = kind.build is None and option != "image_size"  # it stands on no CLIP
        info = typer.Option(help=text, show_default=False, hidden=unused)
        yield _parameter(option, of_type | None, info, None)
    own = kind.options.model_fields
    for option, field in declared(name).items():
        flag, of_type = spelling(option, field)
        info = typer.Option(help=_text(field), show_default=False, hidden=option not in own)
        yield _parameter(flag, of_type | None, info, None)


def _parameter(
    name: str, of_type: Any, info: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[of_type, info]
    )


def _text(field: "FieldInfo") -> str:
    shown = isinstance(field.default, str | int | float)
    return f"{field.description}  [default: {field.default}]" if shown else str(field.description)


def declared(system: str) -> "dict[str, FieldInfo]":
    """Return the options of a system, and after them those that only others have."""
    from s2sw.model.detectors.registry import SYSTEMS, detector_kind

    found = dict(detector_kind(system).options.model_fields)
    for other in SYSTEMS:
        for option, field in detector_kind(other).options.model_fields.items():
            found.setdefault(option, field)
    return found


def given_options(system: str, values: Mapping[str, Any], side: int) -> dict[str, Any]:
    """Return what was given on the command line as ``build_bundle`` takes it; pictures are read.

    values: by the names of the flags. side: of the input, pixels. Raises BundleError.
    """
    from s2sw.model.detectors.options import Flag, Pictures
    from s2sw.model.detectors.registry import detector_kind

    own = detector_kind(system).options.model_fields
    found: dict[str, Any] = {}
    names = values["class_name"] or []
    for option, field in declared(system).items():
        value = values[spelling(option, field)[0]]
        if value is None or value == []:
            continue
        flag, pictures = _mark(field, Flag), _mark(field, Pictures)
        if option in own and flag is not None:
            value = flag.read(value)
        elif option in own and pictures is not None:
            if not names and "class_name" in own and own["class_name"].is_required():
                continue  # that is missing first
            value = _pictures(option, value, names, side, or_numbers=pictures.or_numbers)
        found[option] = value
    return found


def _pictures(option: str, source: str, class_names: Sequence[str], side: int, *, or_numbers: bool) -> Any:
    """Return the pictures, or numbers, that an option names; by class where there are class names."""
    from s2sw.jobs.references import normal_pictures, two_numbers

    numbers = two_numbers(source) if or_numbers else None
    if numbers is not None:
        return numbers
    found = normal_pictures(source, class_names or [ANY], side, option)
    return found if class_names else found.get(ANY, {})


def spelling(option: str, field: "FieldInfo") -> tuple[str, Any]:
    """Return how the command line calls an option, and the type of its value there."""
    from s2sw.model.detectors.options import Flag

    flag = _mark(field, Flag)
    return (flag.name, flag.type) if flag else (option, _typed(field.annotation))


def flags() -> list[str]:
    """Return the names of all flags of all systems, with underscores."""
    return [*GENERAL, *(spelling(option, field)[0] for option, field in declared(DEFAULT).items())]


def _mark(field: "FieldInfo", kind: type[Mark]) -> Mark | None:
    return next((mark for mark in field.metadata if isinstance(mark, kind)), None)


def _typed(annotation: Any) -> Any:
    """Return bool, int, float, str, or a list of one of them, for a declared type."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _typed(next(arg for arg in args if arg is not NoneType))
    if origin is tuple:
        return list[_typed(args[0])]  # type: ignore[misc]
    return annotation if annotation in (bool, int, float) else str
