"""``s2sw profile``: what an archive's own pictures tell of what is usual in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from s2sw.jobs import options
from s2sw.jobs.configuration import build_config, is_configuration
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors
from s2sw.jobs.logs import configure_logs
from s2sw.jobs.reading import open_output, results_config
from s2sw.schemas.config import AUTO, ScreenConfig
from s2sw.schemas.profile import GroupRecord, ProfileRecord
from s2sw.schemas.storage import StorageSettings

if TYPE_CHECKING:
    from s2sw.pipeline.profile.building import Reviewed

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
    config = _config(source, profile, bundle, open_mode, limit, workers, precision, endpoint_url, private_dir)
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
    next screening with the profile makes rows of all objects anew.

    Examples:

    `s2sw profile update /archive --profile /private/archive-profile`

    `s2sw profile update /archive --profile /private/archive-profile --results /results`
    """
    config = _config(source, profile, bundle, open_mode, limit, workers, precision, endpoint_url, private_dir)
    before = _read(profile, endpoint_url)
    after = _build(config, profile, _reviewed(config, results, before))
    same = after.fingerprint == before.fingerprint
    typer.echo(
        "No group changed: later rows stay comparable with earlier ones."
        if same
        else "Groups changed: the next screening with this profile makes rows of all objects anew."
    )
    _print_profile(after)


def _config(
    source: str,
    profile: str,
    bundle: str | None,
    open_mode: bool | None,
    limit: int | None,
    workers: int | None,
    precision: str | None,
    endpoint_url: str | None,
    private_dir: str | None,
) -> ScreenConfig:
    from_file = is_configuration(source)
    given = {
        "source": None if from_file else source,
        "output": None if from_file else f"{profile.rstrip('/')}-results",
        "bundle": bundle, "mode": None if open_mode is None else ("open" if open_mode else "private"),
        "limit": limit, "cluster.workers": workers, "precision": precision,
        "storage.endpoint_url": endpoint_url, "private_dir": private_dir, "profile": AUTO,
    }  # fmt: skip
    return build_config(Path(source) if from_file else None, given)


def _reviewed(config: ScreenConfig, results: str | None, profile: ProfileRecord) -> "Reviewed":
    """Return what reviewers said in some results. Ends the command where these have other ids."""
    from s2sw.pipeline.ledger.run_records import choose_run
    from s2sw.pipeline.profile.building import Reviewed

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
def show(profile: ProfileArgument, endpoint_url: options.EndpointOption = None) -> None:
    """Show a profile's groups, how much rarity counts in each, and which seeded defects it would find."""
    _print_profile(_read(profile, endpoint_url))


@app.command(no_args_is_help=True)
@one_line_errors()
def compare(
    first: ProfileArgument, second: ProfileArgument, endpoint_url: options.EndpointOption = None
) -> None:
    """Compare two profiles: groups of one only, weights, and the share of seeded defects found."""
    one, other = _read(first, endpoint_url), _read(second, endpoint_url)
    table = Table("group", "pictures", "weight of rarity", "seeded defects found")
    for name in sorted({group.name for group in (*one.groups, *other.groups)}):
        pair = one.group(name), other.group(name)
        cells: list[Any] = [
            [str(of(group)) if group else "-" for group in pair]
            for of in (lambda group: group.pictures, lambda group: f"{group.weight:g}", _found)
        ]
        table.add_row(name, *(" | ".join(cell) for cell in cells))
    console = Console(highlight=False, soft_wrap=True)
    if one.bundle != other.bundle:
        console.print("They were made with different detectors: their numbers are not comparable.")
    console.print(table)


def _read(address: str, endpoint_url: str | None) -> ProfileRecord:
    from s2sw.pipeline.profile.folder import ProfileFolder

    return ProfileFolder(address, StorageSettings(endpoint_url=endpoint_url)).read()


def _print_profile(record: ProfileRecord) -> None:
    from s2sw.pipeline.reports.terminal import plain

    console = Console(highlight=False, soft_wrap=True)
    said = f"Profile {record.fingerprint}, detector {record.detector}, made {record.created}"
    console.print(plain(said))
    table = Table("group", "pictures", "objects", "resemblance", "weight of rarity", "seeded defects found")
    for group in record.groups:
        name = f"{group.name} ({group.label})" if group.label else group.name
        numbers = str(group.pictures), str(group.objects), f"{group.resemblance:.2f}", f"{group.weight:g}"
        table.add_row(plain(name), *numbers, _found(group))
    console.print(table)
    for group in record.groups:
        _print_limits(console, group)


def _print_limits(console: Console, group: GroupRecord) -> None:
    from s2sw.model.rarity.choosing import BUDGET

    if not group.limits:
        return
    contrasts = sorted({limit.contrast for limit in group.limits})
    title = f"{group.name}: defects found when {BUDGET:.0%} of the pictures are opened (95 % interval)"
    table = Table("area up to", *(f"contrast up to {c:g}" for c in contrasts), title=title)
    for size in sorted({limit.size for limit in group.limits}):
        here = {limit.contrast: limit for limit in group.limits if limit.size == size}
        cells = [_share(here[c].found, here[c].seeds) if c in here else "-" for c in contrasts]
        table.add_row(f"{size:.1%}", *cells)
    console.print(table)


def _found(group: GroupRecord) -> str:
    seeds = sum(limit.seeds for limit in group.limits)
    return _share(sum(limit.found for limit in group.limits), seeds) if seeds else "-"


def _share(found: int, seeds: int) -> str:
    """Return a share with its interval (Wilson's score interval)."""
    from scipy.stats import binomtest

    low, high = binomtest(found, seeds).proportion_ci(0.95, "wilson")
    return f"{found} of {seeds} ({low:.0%} to {high:.0%})"
