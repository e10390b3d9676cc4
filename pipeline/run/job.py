"""A run's configuration, resolved and checked before anything is written."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.connectors.storage.s3 import is_s3, s3_endpoint
from s2sw.connectors.storage.stored import StoredObject
from s2sw.model.bundles.record import BundleRecord, read_record
from s2sw.model.errors import BundleError
from s2sw.pipeline.ledger.audit import AuditError
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.ledger.output_key import configured_key
from s2sw.pipeline.listing.source import first_object, listing, with_source
from s2sw.pipeline.privacy.private_bucket import open_inside
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.privacy.redaction import describe
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.pipeline.run.online import in_order, online_place
from s2sw.pipeline.run.profiles import existing_profile
from s2sw.pipeline.run.window import parse_until
from s2sw.pipeline.stages.bundles import bundle_folder
from s2sw.pipeline.stages.classes import ClassRule, class_rule
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import Reason, ScreeningError


@dataclass(frozen=True)
class Job:
    """A screening that can start.

    deadline: seconds since the epoch, None without a time window. classes: None where the bundle has no class
    names. profile: the one that there is already. objects: lists the source.
    """

    config: ScreenConfig
    bundle: Path
    record: BundleRecord
    output: OutputFolder
    inside: Inside
    deadline: float | None
    classes: ClassRule | None = None
    profile: ProfilePlace | None = None
    objects: Callable[[ScreenConfig, Counter[str]], Iterator[StoredObject]] = listing


def prepare(config: ScreenConfig) -> Job:
    """Check source, bundle, output, window and private folder, in this order, without writing anything.

    Raises UserError, KeyFileError for an id key that cannot be used.
    """
    config = with_source(config)
    if config.online:
        config = in_order(config)
    _check_source(config)
    bundle, record, classes = _detector(config)
    output = open_output(config.output, config.storage)
    try:
        deadline = parse_until(config.until, datetime.now()) if config.until is not None else None
        output.check_writable()
    except ValueError as error:
        raise UserError(str(error)) from error
    except ScreeningError as error:
        raise UserError(
            f"output: cannot write to {config.output} ({_storage_problem(error, config)})"
        ) from error
    _check_metrics_file(config.metrics_file)
    inside = _inside(config)
    try:
        key = configured_key(config, inside, output).key
        refuse_other_key(output, config.private, key)
    except AuditError as error:
        raise UserError(f"output: {config.output}: {error}") from error
    find = online_place if config.online else existing_profile
    return Job(config, bundle, record, output, inside, deadline, classes, find(config, record, inside, key))


def prepare_building(config: ScreenConfig, address: str) -> Job:
    """Check what building a profile at an address needs, without writing anything. Raises UserError."""
    config = with_source(config)
    _check_source(config)
    bundle, record, classes = _detector(config)
    output = open_output(address, config.storage)
    try:
        output.check_writable()
    except ScreeningError as error:
        raise UserError(f"profile: cannot write to {address} ({_storage_problem(error, config)})") from error
    inside = open_inside(config.private_dir, config.storage)
    key = inside.key() if config.private else None
    there = ProfileFolder(address, config.storage).exists()
    named = config.model_copy(update={"profile": address})
    profile = existing_profile(named, record, inside, key) if there else None
    return Job(config, bundle, record, output, inside, None, classes, profile)


def _detector(config: ScreenConfig) -> tuple[Path, BundleRecord, ClassRule | None]:
    try:
        bundle = bundle_folder(config.bundle, config.storage)
        record = read_record(bundle)
    except BundleError as error:
        raise UserError(f"bundle: {error}") from error
    try:
        return bundle, record, class_rule(config.classes, record.class_names, config.bundle)
    except ValueError as error:
        raise UserError(str(error)) from error


def _inside(config: ScreenConfig) -> Inside:
    inside = open_inside(config.private_dir, config.storage)
    place = inside.address
    try:
        inside.check_writable()
    except ScreeningError as error:
        why = _storage_problem(error, config) if is_s3(place) else error.detail
        raise UserError(f"private_dir: cannot write to {place} ({why})") from error
    if config.private and inside.overlaps(config.output):
        raise UserError(f"private_dir: {place} and the output {config.output} lie in each other; part them")
    return inside


def _check_source(config: ScreenConfig) -> None:
    if not is_s3(config.source) and "://" in config.source:
        raise UserError(f"source: {config.source} is neither a folder nor s3://bucket/prefix")
    try:
        first = first_object(config)
    except ScreeningError as error:
        if config.private and not is_s3(config.source):
            error = ScreeningError(error.reason, describe(error))  # the detail may be a path of the archive
        raise UserError(f"source: cannot list {config.source} ({_storage_problem(error, config)})") from error
    if first is None:
        named = config.manifest or config.source
        raise UserError(f"source: {named} holds no files of its own; nothing to screen")


def _check_metrics_file(metrics_file: str | None) -> None:
    if metrics_file is None:
        return
    path = Path(metrics_file).expanduser()
    if path.is_dir():
        raise UserError(f"metrics_file: {path} is a folder; name a file in it, such as {path / 's2sw.prom'}")
    try:
        LocalOutput(path.parent).check_writable()
    except ScreeningError as error:
        raise UserError(f"metrics_file: cannot write {path} ({error.detail})") from error


def _storage_problem(error: ScreeningError, config: ScreenConfig) -> str:
    """Say what is wrong with a place and what to do."""
    where = s3_endpoint(config.storage) or "AWS"
    s3 = any(map(is_s3, (config.source, config.output, config.private_dir or "")))
    if error.reason is Reason.DENIED and "locate credentials" in error.detail:
        return (
            "no S3 credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or use the machine's role (storage.instance_role: true)"
        )
    if error.reason is Reason.DENIED and s3:
        return f"{where} refused the credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    advice = {
        Reason.NOT_FOUND: "it does not exist: check the spelling",
        Reason.DENIED: "permission denied",
        Reason.TIMEOUT: f"{where} does not answer: check storage.endpoint_url",
        Reason.THROTTLED: f"{where} keeps asking to slow down: try later",
    }
    detail = advice.get(error.reason, error.detail)
    return f"{detail} [{where}]" if s3 and error.reason is Reason.IO_ERROR else detail
