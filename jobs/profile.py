"""``s2sw profile``: what an archive's own pictures tell of what is usual in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from s2sw.jobs import options
from s2sw.jobs.configuration import build_config, is_configuration
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors
from s2sw.jobs.logs import configure_logs
from s2sw.jobs.reading import open_output, results_config
from s2sw.schemas.config import AUTO, EMBEDDED, ScreenConfig
from s2sw.schemas.profile import ProfileRecord
from s2sw.schemas.storage import StorageSettings

if TYPE_CHECKING:
    from s2sw.pipeline.profile.drafting import Reviewed
    from s2sw.pipeline.reports.profile_page import Looks

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Build and look at archive profiles, by which slices are ranked (docs/profile.md).",
)
SourceArgument = Annotated[
    str,
    typer.Argument(help="Folder, file, s3://bucket/prefix, or a job file (job.yaml).", show_default=False),
]
ProfileArgument = Annotated[str, typer.Argument(help="Folder or s3://bucket/prefix of a profile.")]
PlaceOption = Annotated[
    str, typer.Option("--profile", "-p", help="Folder or s3://bucket/prefix to build it in; private data.")
]

HtmlOption = Annotated[Path | None, typer.Option(help="Write a page with the limits drawn to this file.")]
PicturesOption = Annotated[
    str | None,
    typer.Option(
        help="Source of a profile of open mode: the page shows its most and least typical pictures."
    ),
]
ReviewedOption = Annotated[
    str | None,
    typer.Option(
        "--results",
        help="Results with reviewers' decisions: what they called normal comes first, objects with a finding "
        "stay out.",
    ),
]


@app.command(no_args_is_help=True)
@one_line_errors()
def build(
    source: SourceArgument,
    profile: PlaceOption,
    bundle: options.BundleOption = None,
    tile: options.TileOption = None,
    open_mode: options.OpenOption = None,
    limit: options.LimitOption = None,
    workers: options.WorkersOption = None,
    precision: options.PrecisionOption = None,
    endpoint_url: options.EndpointOption = None,
    private_dir: options.PrivateOption = None,
) -> None:
    """Build a profile of SOURCE, or add what one lacks. Nothing is screened.

    Examples:

    `s2sw profile build /archive --profile /private/archive-profile`

    `s2sw screen /archive -o /results --profile /private/archive-profile`
    """
    given = {"bundle": bundle, "limit": limit, "precision": precision, "tiles.size": tile}
    config = _config(source, profile, given, open_mode, workers, endpoint_url, private_dir)
    _print_profile(_build(config, profile))


@app.command(no_args_is_help=True)
@one_line_errors()
def update(
    source: SourceArgument,
    profile: PlaceOption,
    results: ReviewedOption = None,
    bundle: options.BundleOption = None,
    open_mode: options.OpenOption = None,
    limit: options.LimitOption = None,
    workers: options.WorkersOption = None,
    precision: options.PrecisionOption = None,
    endpoint_url: options.EndpointOption = None,
    private_dir: options.PrivateOption = None,
) -> None:
    """Let later pictures of SOURCE into a profile's groups, and add the groups that it lacks.

    A group that changes gives the profile a new fingerprint: rows already written stay as they are, and the
    next screening with the profile makes rows of all objects again.

    Examples:

    `s2sw profile update /archive --profile /private/archive-profile`

    `s2sw profile update /archive --profile /private/archive-profile --results /results`
    """
    given = {"bundle": bundle, "limit": limit, "precision": precision}
    config = _config(source, profile, given, open_mode, workers, endpoint_url, private_dir)
    before = _read(profile, endpoint_url)
    after = _build(config, profile, _reviewed(config, results, before))
    same = after.fingerprint == before.fingerprint
    typer.echo(
        "No group changed: later rows stay comparable with earlier ones."
        if same
        else "Groups changed: the next screening with this profile makes rows of all objects again."
    )
    _print_profile(after)


def _print_profile(record: ProfileRecord) -> None:
    # brings torch, which reads the environment that a building sets first
    from s2sw.pipeline.reports.profile_tables import print_profile

    print_profile(record)


def _config(
    source: str,
    profile: str,
    options_given: dict[str, Any],
    open_mode: bool | None,
    workers: int | None,
    endpoint_url: str | None,
    private_dir: str | None,
) -> ScreenConfig:
    from_file = is_configuration(source)
    given = options_given | {
        "source": None if from_file else source,
        "output": None if from_file else f"{profile.rstrip('/')}-results",
        "mode": None if open_mode is None else ("open" if open_mode else "private"),
        "cluster.workers": workers,
        "storage.endpoint_url": endpoint_url, "private_dir": private_dir, "profile": AUTO,
    }  # fmt: skip
    return build_config(Path(source) if from_file else None, given)


def _reviewed(config: ScreenConfig, results: str | None, profile: ProfileRecord) -> "Reviewed":
    """Return what reviewers said in some results. Ends the command where these have other ids."""
    from s2sw.pipeline.ledger.run_records import choose_run
    from s2sw.pipeline.profile.drafting import Reviewed

    if results is None:
        return Reviewed()
    from s2sw.pipeline.flagging.reviewed import reviewed_in
    from s2sw.pipeline.results.opening import readable

    folder = open_output(results_config(results, config.storage.endpoint_url, config.private_dir))
    with readable(folder):
        if choose_run(folder, None).summary.key_id != profile.key_id:
            fail(
                f"--results: ids in {results} are of another key than the profile's, or of the other mode",
                EXIT_USAGE,
            )
        return reviewed_in(folder)


def _build(config: ScreenConfig, address: str, reviewed: "Reviewed | None" = None) -> ProfileRecord:
    from s2sw.pipeline.privacy.environment import enter

    enter(config)
    configure_logs()
    from s2sw.pipeline.reports.terminal import plain
    from s2sw.pipeline.run.job import prepare_building
    from s2sw.pipeline.run.profile_command import build_profile

    console = Console(highlight=False, soft_wrap=True, stderr=True)
    job = prepare_building(config, address)
    return build_profile(job, address, lambda line: console.print(plain(line)), reviewed)


@app.command(no_args_is_help=True)
@one_line_errors()
def show(
    profile: ProfileArgument,
    html: HtmlOption = None,
    pictures: PicturesOption = None,
    bundle: options.BundleOption = None,
    endpoint_url: options.EndpointOption = None,
) -> None:
    """Show a profile's groups, how much rarity counts in each, and which seeded defects it would find.

    Examples:

    `s2sw profile show /private/archive-profile --html profile.html`

    `s2sw profile show open-profile --html profile.html --pictures /archive`
    """
    record = _read(profile, endpoint_url)
    if pictures is not None and html is None:
        fail("--pictures: they are part of a page; name its file with --html", EXIT_USAGE)
    if pictures is not None and (record.key_id or record.anonymous):
        fail("--pictures: a profile without open ids shows none; build one with --open for them", EXIT_USAGE)
    _print_profile(record)
    if html is not None:
        _write_page(record, html, profile, pictures, {"bundle": bundle, "storage.endpoint_url": endpoint_url})


def _write_page(
    record: ProfileRecord, html: Path, address: str, pictures: str | None, given: dict[str, Any]
) -> None:
    from s2sw.pipeline.reports.profile_page import profile_page

    looks = _looks(record, address, pictures, given) if pictures is not None else {}
    html.write_text(profile_page(record, looks), encoding="utf-8")
    Console(highlight=False, soft_wrap=True).print(f"Page: {html}", markup=False)


def _looks(record: ProfileRecord, address: str, source: str, given: dict[str, Any]) -> "dict[str, Looks]":
    from s2sw.pipeline.privacy.environment import enter
    from s2sw.pipeline.profile.folder import ProfileFolder
    from s2sw.pipeline.reports.profile_pictures import looks_of

    config = build_config(None, given | {"source": source, "output": f"{address}-results", "mode": "open"})
    enter(config)
    patches = _patches(record, config.bundle, config.storage)
    return looks_of(ProfileFolder(address, config.storage), record, config, patches)


@app.command(no_args_is_help=True)
@one_line_errors()
def compare(
    first: ProfileArgument, second: ProfileArgument, endpoint_url: options.EndpointOption = None
) -> None:
    """Compare two profiles: groups of one only, weights, and the share of seeded defects found."""
    from s2sw.pipeline.reports.profile_tables import print_comparison

    print_comparison(_read(first, endpoint_url), _read(second, endpoint_url))


@app.command(no_args_is_help=True)
@one_line_errors()
def copy(
    profile: ProfileArgument,
    to: Annotated[str, typer.Argument(help="Folder that is made for the copy.")],
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Leave ids, labels and groups by folder out.")
    ] = False,
    bundle: options.BundleOption = None,
    endpoint_url: options.EndpointOption = None,
) -> None:
    """Copy a profile for another site, which knows its groups by modality, body part and plane alone.

    Example:

    `s2sw profile copy /private/archive-profile /handed-over --anonymous`
    """
    from s2sw.pipeline.profile.anonymous import copy_anonymous
    from s2sw.pipeline.profile.folder import ProfileFolder

    if not anonymous:
        fail("--anonymous: a copy with ids is of no use elsewhere; to keep one, copy the folder", EXIT_USAGE)
    storage = StorageSettings(endpoint_url=endpoint_url)
    patches = _patches(_read(profile, endpoint_url), bundle, storage)
    _print_profile(copy_anonymous(ProfileFolder(profile, storage), ProfileFolder(to, storage), patches))


def _patches(record: ProfileRecord, bundle: str | None, storage: StorageSettings) -> int:
    """Return the patches of a picture. Ends the command where a bundle is not the profile's detector."""
    from s2sw.model.bundles.record import read_record
    from s2sw.model.errors import BundleError
    from s2sw.pipeline.stages.bundles import bundle_folder

    name = bundle or EMBEDDED
    try:
        found = read_record(bundle_folder(name, storage))
    except BundleError as error:
        fail(f"--bundle: {error}", EXIT_USAGE)
    if found.fingerprint != record.bundle:
        fail(f"--bundle: {name} is not the detector of this profile ({record.detector})", EXIT_USAGE)
    return found.grid**2


def _read(address: str, endpoint_url: str | None) -> ProfileRecord:
    from s2sw.pipeline.profile.folder import ProfileFolder

    return ProfileFolder(address, StorageSettings(endpoint_url=endpoint_url)).read()
