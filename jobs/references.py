"""Normal pictures for the few-shot detectors: from a folder, a prefix, or a query over results."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.datasets import DataSetError
from s2sw.connectors.datasets.pictures import decode_picture, read_bytes
from s2sw.connectors.storage.objects import list_objects
from s2sw.model.errors import BundleError
from s2sw.pipeline.imaging.tiles import views
from s2sw.pipeline.stages.classes import ClassRule
from s2sw.schemas.config import ClassSettings
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.storage import StorageSettings

MOST = 1000
"""Pictures of one option at most: a memory is searched for every patch of every picture."""

Pictures = dict[str, NDArray[np.uint8]]


def normal_pictures(source: str, class_names: Sequence[str], side: int, option: str) -> Pictures:
    """Return pictures by class name, uint8 (K, side, side, 3), squashed as for the detector.

    source: a folder, file or s3:// prefix; or a query, which begins with SELECT or FROM, over Parquet files
    of results or listings, with a column uri and, where there are several class names, class_name. In a
    folder the nearest one that is named like a class says it. option: named in errors, which are BundleError.
    """
    rule = ClassRule(ClassSettings(folders=True), tuple(class_names))
    only = class_names[0] if len(class_names) == 1 else None
    found: dict[str, list[NDArray[np.uint8]]] = defaultdict(list)
    for count, (address, named) in enumerate(_addresses(source, option)):
        if count == MOST:
            raise BundleError(f"{option}: {source} has more than {MOST} pictures; choose some")
        name = only or named or rule.class_of(address)
        if name is None or name not in class_names:
            raise BundleError(
                f"{option}: no class name for {address}; put it in a folder named like one of "
                f"{', '.join(class_names)}, or let the query give a column class_name"
            )
        found[name].append(_read(address, side, option))
    return {name: np.stack(pictures) for name, pictures in found.items()}


def is_query(source: str) -> bool:
    """Tell whether the text is a query and no place."""
    return source.lstrip().lower().startswith(("select ", "from "))


def _addresses(source: str, option: str) -> Iterator[tuple[str, str | None]]:
    """Yield addresses, and class names where a query gives them."""
    if is_query(source):
        yield from _queried(source, option)
        return
    try:
        for stored in list_objects(source, StorageSettings()):
            yield stored.uri, None
    except ScreeningError as error:
        raise BundleError(f"{option}: cannot list {source} ({error.reason})") from error


def _queried(query: str, option: str) -> Iterator[tuple[str, str | None]]:
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    try:
        rows = connection.sql(query).to_arrow_table().to_pylist()
    except (duckdb.Error, AttributeError) as error:  # a statement without rows has no table
        raise BundleError(f"{option}: the query fails: {' '.join(str(error).split())}") from error
    for row in rows:
        if not row.get("uri"):
            raise BundleError(
                f"{option}: the query's column uri is missing or empty; results of private mode have none: "
                "join the listing in the private folder by object_id"
            )
        yield row["uri"], row.get("class_name")


def _read(address: str, side: int, option: str) -> NDArray[np.uint8]:
    decoding = DecodeSettings()
    try:
        pixels = decode_picture(address, read_bytes(address, StorageSettings(), decoding), decoding)
    except DataSetError as error:
        raise BundleError(f"{option}: {error}") from error
    return next(views(pixels, side, []))


def two_numbers(text: str) -> tuple[float, float] | None:
    """Return "LOW,HIGH" as numbers; None for any other text."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        return None
    return low, high


def weighted_members(members: Sequence[str]) -> dict[str | Path, float]:
    """Return bundle folders to weights from texts "FOLDER" (weight 1) or "FOLDER=WEIGHT"."""
    found: dict[str | Path, float] = {}
    for member in members:
        folder, equals, weight = member.rpartition("=")
        try:
            found[folder if equals else member] = float(weight) if equals else 1.0
        except ValueError:
            raise BundleError(f"members: {member!r} given; FOLDER or FOLDER=WEIGHT is needed") from None
    return found
