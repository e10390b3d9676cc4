"""From a row of results back to the pixels of its object, without storing a copy of them.

Results name objects by their ids. The private crosswalk says where each object lies; in open mode the results
hold the address. The id tells whether the object is still the same.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import duckdb

from s2sw.connectors.archives.members import list_members
from s2sw.connectors.decode import decode, first_plane
from s2sw.connectors.geometry import Geometry
from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.reading.archives import is_archive
from s2sw.connectors.reading.fetching import Fetcher, Payload
from s2sw.connectors.slices import Slice
from s2sw.connectors.storage.objects import read_object, stat_object
from s2sw.connectors.storage.s3 import is_s3, s3_endpoint
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.ledger.run_records import ReportError, read_run
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import STORAGE_REASONS, Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import MANIFEST

log = logging.getLogger(__name__)

FOUND_KEPT = 20_000  # addresses kept in memory, a few MB


class NoSourceError(Exception):
    """The address of an object is not known on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object to find: its id, the run that screened it, and the address that open results have."""

    object_id: str
    run_id: str
    address: str | None = None


class Crosswalk:
    """The private files of runs that say where objects lie (schema MANIFEST)."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def find(self, run_id: str, ids: list[str]) -> dict[str, StoredObject]:
        """Return those of the ids that a run took up."""
        files = [str(path) for path in self._inside.crosswalk_files(run_id)]
        if not files:
            return {}
        query = "SELECT * FROM read_parquet(?) WHERE list_contains(?, object_id)"
        try:
            with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": "false"}) as connection:
                rows = connection.sql(query, params=[files, ids]).to_arrow_table().select(MANIFEST.names)
        except (duckdb.Error, KeyError):
            log.warning("%s", f"the crosswalk of run {run_id} in the private folder is damaged")
            return {}
        return {row.pop("object_id"): StoredObject(**row) for row in rows.to_pylist()}


class Sources:
    """Finds and decodes objects of one output. Safe for several threads.

    private: of the results. Addresses in private results are nobody's of ours, and are not followed; ids of
    open ones are compared with what the crosswalk says, so that private results that were made to look open
    find nothing there. source: the configured one, which may be all that says that S3 is used.
    """

    def __init__(
        self,
        output: OutputFolder,
        inside: Inside,
        storage: StorageSettings,
        source: str | None = None,
        private: bool = True,
    ) -> None:
        self.storage = storage
        self.private = private
        self._output = output
        self._reaches_s3 = s3_endpoint(storage) is not None or is_s3(output.root) or is_s3(source or "")
        self._crosswalk = Crosswalk(inside)
        self._found: dict[str, StoredObject] = {}
        self.decode_settings: Callable[[str], DecodeSettings] = lru_cache(maxsize=64)(
            lambda run_id: _decode_settings(output, run_id)
        )

    def find(self, wanted: list[ObjectRef]) -> dict[str, StoredObject]:
        """Return the objects that the crosswalk knows, by id; asks it once for each run."""
        missing = [one for one in wanted if one.object_id not in self._found]
        for run_id in {one.run_id for one in missing}:
            ids = [one.object_id for one in missing if one.run_id == run_id]
            found = self._crosswalk.find(run_id, ids)
            self._keep(found if self.private else {i: s for i, s in found.items() if _is_open_id(i, s)})
        return {one.object_id: self._found[one.object_id] for one in wanted if one.object_id in self._found}

    def locate(self, wanted: ObjectRef) -> StoredObject:
        """Return where an object lies.

        Raises NoSourceError where nothing says so; ScreeningError CHANGED where an open result's address
        holds another version by now, and storage's reasons.
        """
        found = self.find([wanted]).get(wanted.object_id)
        if found is not None:
            return found
        if wanted.address is None or self.private:
            raise NoSourceError(
                f"the crosswalk of run {wanted.run_id} is not on this machine; "
                "name its folder with --private-dir"
            )
        self._check_reached(wanted.address, wanted.run_id)
        stored = _by_address(
            wanted.address, wanted.object_id, self.storage, self.decode_settings(wanted.run_id)
        )
        self._keep({wanted.object_id: stored})
        return stored

    def slices(self, wanted: ObjectRef, originals: bool = False) -> Iterator[Slice]:
        """Yield the slices of an object as they were screened, at full size.

        originals: with what they were made from. Raises NoSourceError and, at once or half way,
        ScreeningError.
        """
        settings = self.decode_settings(wanted.run_id)
        payload = read_payload(self.locate(wanted), self.storage, settings)
        _, slices = decode(payload.data, settings, companion=payload.companion, originals=originals)
        yield from slices

    def planes(
        self, wanted: list[ObjectRef], too_late: Callable[[], bool]
    ) -> Iterator[tuple[str, Geometry | None]]:
        """Yield the ids of DICOM objects with the planes of their first frames; None where it cannot be read.

        Those that were not read before it is too late are left out.
        """
        self.find(wanted)
        found: dict[str, StoredObject] = {}
        for one in wanted:
            if too_late():
                return
            try:
                found[one.object_id] = self.locate(one)
            except (NoSourceError, ReportError, ScreeningError):
                yield one.object_id, None
        runs = {one.object_id: one.run_id for one in wanted}
        # members of one archive one behind the other
        ids = sorted(found, key=lambda object_id: (found[object_id].uri, found[object_id].place))
        fetch = Fetcher(self.storage, DecodeSettings(), too_late)
        for object_id, get in zip(ids, fetch.payloads([found[object_id] for object_id in ids]), strict=True):
            try:
                yield object_id, first_plane(get().data, self.decode_settings(runs[object_id]))
            except (ScreeningError, ReportError):
                if too_late():
                    return
                yield object_id, None

    def _check_reached(self, address: str, run_id: str) -> None:
        """Raise NoSourceError for an address on S3 that nothing but the results themselves leads to."""
        if not is_s3(address):
            return
        if not self._reaches_s3:
            raise NoSourceError("the object lies on S3, but no S3 is configured; name it with --endpoint-url")
        try:
            source = read_run(self._output, run_id).config.get("source")
        except FileNotFoundError:
            source = None
        below = isinstance(source, str) and is_s3(source) and address.startswith(f"{source.rstrip('/')}/")
        if not below and address != source:
            raise NoSourceError(f"the object does not lie below the source that run {run_id} names")

    def _keep(self, found: dict[str, StoredObject]) -> None:
        if len(self._found) + len(found) > FOUND_KEPT:
            self._found = {}  # a new dictionary: other threads may read the old one
        self._found.update(found)


def read_payload(stored: StoredObject, storage: StorageSettings, settings: DecodeSettings) -> Payload:
    """Return the bytes of one object, member of an archive or header of a pair. Raises ScreeningError."""
    fetch = Fetcher(storage, settings, too_late=lambda: False)
    for get in fetch.payloads([stored]):
        return get()
    raise AssertionError("unreachable: one object was asked for")


def _decode_settings(output: OutputFolder, run_id: str) -> DecodeSettings:
    """Return how a run decoded; the defaults where it was killed and left no file. Raises ReportError."""
    try:
        described = read_run(output, run_id).decode
    except FileNotFoundError:
        described = DecodeSettings()
    # a scaled picture is made from the same pixels: a person looks at them in full
    return described.model_copy(update={"scaled": False})


def _is_open_id(object_id: str, stored: StoredObject) -> bool:
    return object_ids(None)(stored.address, stored.version) == object_id


def _by_address(
    address: str, object_id: str, storage: StorageSettings, settings: DecodeSettings
) -> StoredObject:
    """Return the object at an address of open results, once its id has shown that it is the same."""
    same = object_ids(None)
    there = False
    for archive, member in _readings(address):
        try:
            for stored in _at(archive, member, storage, settings):
                if same(stored.address, stored.version) == object_id:
                    return stored
            there = True
        except ScreeningError as error:
            if error.reason is Reason.NOT_FOUND:
                continue
            if error.reason in STORAGE_REASONS:
                raise
            there = True  # an archive that could be listed once and no longer can
    raise ScreeningError(Reason.CHANGED if there else Reason.NOT_FOUND, address)


def _readings(address: str) -> Iterator[tuple[str, str]]:
    """Yield what an address can mean, archive and member: names may hold exclamation marks themselves."""
    yield address, ""
    parts = address.split("!")
    for count in range(1, len(parts)):
        archive = "!".join(parts[:count])
        if is_archive(archive):
            yield archive, "!".join(parts[count:])


def _at(
    archive: str, member: str, storage: StorageSettings, settings: DecodeSettings
) -> Iterator[StoredObject]:
    """Yield the object itself, or the files of that name in an archive, which may use a name twice."""
    stored = stat_object(archive, storage)
    if not member:
        yield stored
        return
    data = read_object(stored, storage, settings.limits.object_bytes)
    for place, (name, size) in enumerate(list_members(data, settings)):
        if name == member:
            yield replace(stored, size=size, member=name, place=place)
