"""Runs in which each object is ranked by those that came before it: one process, in the order of arrival."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.storage.s3 import is_s3
from s2sw.model.bundles.record import BundleRecord
from s2sw.pipeline.ledger.done import done_objects
from s2sw.pipeline.privacy.environment import local_environment
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.privacy.redaction import describe
from s2sw.pipeline.profile.place import OnlinePlace
from s2sw.pipeline.profile.stream import Committed, Stream
from s2sw.pipeline.run.decode_process import DecodeProcess, ProcessDiedError
from s2sw.pipeline.run.executor import DecodeStep, Executor, LostGroup, RunFailedError
from s2sw.pipeline.run.profiles import new_record, own_address
from s2sw.pipeline.run.session_folder import session_folder, temporary_in
from s2sw.pipeline.stages.detect_actor import detect_stage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ClusterSettings, ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.profile import ONLINE_VERSION

ALONE = "profile: online ranks each object by those before it, in one process"


def in_order(config: ScreenConfig) -> ScreenConfig:
    """Return the configuration for one process that keeps the order. Raises UserError for what cannot be."""
    cluster = config.cluster
    if config.tiles.size:
        raise UserError("profile: online is not available with tiles; leave out --tile")
    if cluster.address is not None:
        raise UserError(f"{ALONE}: leave out the cluster's address")
    if (cluster.actors or 1) > 1 or (cluster.max_actors or 1) > 1:
        raise UserError(f"{ALONE}: leave out cluster.actors and cluster.max_actors")
    if (config.partitions or 1) > 1:
        raise UserError(f"{ALONE}, which writes all results: leave out --partitions")
    if config.force:
        raise UserError("profile: online cannot screen again what it knows; for that, use another output")
    if is_s3(config.private_dir or ""):
        raise UserError("profile: online keeps its state in a local private folder; name one")
    return config.model_copy(update={"partitions": 1})


def online_place(
    config: ScreenConfig, bundle: BundleRecord, inside: Inside, key: bytes | None
) -> OnlinePlace:
    """Return where the state of an output is kept, and what stands for a profile in its rows."""
    facts = json.dumps(["online", ONLINE_VERSION, config.groups.facts()], sort_keys=True)
    record = new_record(config, bundle, key, "").model_copy(
        update={"fingerprint": hashlib.sha256(facts.encode()).hexdigest()[:32]}
    )
    output = config.output if is_s3(config.output) else str(Path(config.output).resolve())
    mark = hashlib.sha256(output.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    address = f"{own_address(config, bundle, inside, key)}-{mark}-online"
    return OnlinePlace(address, config.storage, record, Stream(Path(address)))


def committed_in(output: OutputFolder, fingerprint: str) -> Committed:
    """Return what tells whether a run has committed an object under a fingerprint."""

    def committed(run_id: str, object_id: str) -> bool:
        for batch in done_objects(output, fingerprint, run_id):
            found = (pc.field("run_id") == run_id) & (pc.field("object_id") == object_id)
            rows = pa.Table.from_batches([batch])
            if len(rows.filter(found) if object_id else rows):
                return True
        return False

    return committed


class InOrderExecutor(Executor):
    """Decodes in a process of its own and scores in this one, in the caller's thread."""

    name = "one process, in order"

    def __init__(self, cluster: ClusterSettings, begin: Callable[[], None]) -> None:
        """Take the settings. begin: called before the detector is started."""
        self._cluster, self._begin = cluster, begin
        self._stack = contextlib.ExitStack()
        self._detect: Callable[[pa.Table], pa.Table] | None = None

    def __enter__(self) -> "InOrderExecutor":
        self._begin()  # first: it may refuse to, and then nothing is open that would have to be closed
        folder = self._stack.enter_context(session_folder(self._cluster))
        self._stack.enter_context(local_environment(temporary_in(folder)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @override
    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        """Yield results one row at a time: a row is scored once the one before it has been dealt with."""
        stage = self._detect = self._detect or _started(detect)
        process: DecodeProcess | None = None
        try:
            for group in range(decode.todo.groups):
                process = process or DecodeProcess(decode)
                try:
                    for table in process.decode(group):
                        yield from (stage(table.slice(row, 1)) for row in range(len(table)))
                except ProcessDiedError as error:
                    process.close()
                    process = None
                    lost(str(error))
        finally:
            if process:
                process.close()


def _started(detect: DetectSettings) -> Callable[[pa.Table], pa.Table]:
    try:
        return detect_stage(detect)
    except UserError:
        raise
    except Exception as error:
        raise RunFailedError(f"the detector cannot be started: {describe(error)}") from error
