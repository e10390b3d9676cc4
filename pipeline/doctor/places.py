"""Where a job reads and writes: source, output, bundle and id key."""

import contextlib
import secrets
import time
from collections.abc import Iterator

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.opening import open_output
from s2sw.model.bundles.record import read_record
from s2sw.pipeline.doctor.check import Check, failed, guarded, warning
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.ledger.output_key import configured_key
from s2sw.pipeline.listing.source import first_object, with_source
from s2sw.pipeline.privacy.ids import key_id
from s2sw.pipeline.privacy.private_bucket import open_inside
from s2sw.pipeline.stages.bundles import bundle_folder
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.whole_files import TEMPORARY

CLOCK_SECONDS = 60.0  # S3 refuses requests that are 15 minutes off


def place_checks(config: ScreenConfig) -> Iterator[Check]:
    """Yield what a job's places allow. A file is written to the output and removed again."""
    yield guarded("source", lambda: _source(config), "check the address and its rights")
    yield from _output(config)
    yield guarded(
        "bundle", lambda: _bundle(config), "build it again with `s2sw bundle build`, or check --bundle"
    )
    yield guarded("id key", lambda: _key(config), "restore the key and mode, or name another output")


def _source(config: ScreenConfig) -> Check:
    config = with_source(config)
    if first_object(config) is None:
        return failed("source", f"{config.source} holds no files", "check the address")
    return Check("source", f"{config.source} can be listed")


def _output(config: ScreenConfig) -> Iterator[Check]:
    output = open_output(config.output, config.storage)
    name = f"{TEMPORARY}doctor-{secrets.token_hex(8)}"
    remedy = "check the address and its rights: files are written, created once, read, listed and deleted"
    try:
        yield guarded("output", lambda: _written(output, name), remedy)
        yield guarded("clock", lambda: _clock(output, name), "set the clock of this machine (NTP)")
    finally:
        with contextlib.suppress(Exception):  # what cannot be written cannot be deleted either, and was told
            output.delete(name)


def _written(output: OutputFolder, name: str) -> Check:
    output.check_writable()
    if not output.create(name, b"one") or output.read(name) != b"one":
        return failed("output", f"{output.root}: what was written is not read back", "check the storage")
    if output.create(name, b"two"):
        return failed(
            "output",
            f"{output.root}: a file that must be created once was replaced",
            "the storage ignores If-None-Match; two runs at once could not be told apart",
        )
    return Check("output", f"{output.root}: write, create once, read and delete work")


def _clock(output: OutputFolder, name: str) -> Check:
    """Compare this machine's clock with that of the storage, by a file just written."""
    off = time.time() - output.modified(name)
    if abs(off) > CLOCK_SECONDS:
        return warning("clock", f"{off:.0f} s off that of the output", "set the clock of this machine (NTP)")
    return Check("clock", f"within {CLOCK_SECONDS:.0f} s of the output's")


def _bundle(config: ScreenConfig) -> Check:
    record = read_record(bundle_folder(config.bundle, config.storage))
    found = f"{record.detector}, {record.fingerprint[:12]}, whole"
    if not record.trained:
        return warning("bundle", found, "its weights are random: scores mean nothing")
    return Check("bundle", found)


def _key(config: ScreenConfig) -> Check:
    output, inside = (
        open_output(config.output, config.storage),
        open_inside(config.private_dir, config.storage),
    )
    key = configured_key(config, inside, output).key
    refuse_other_key(output, config.private, key)
    if not config.private:
        return Check("id key", "none in open mode")
    return Check("id key", f"key {key_id(key)}" if key else "none yet: the first run makes one")
