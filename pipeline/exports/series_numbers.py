"""The numbers of slices in their series, by where they lie in the patient."""

import duckdb

from s2sw.connectors.geometry import plane_from
from s2sw.pipeline.results.anatomy import in_order
from s2sw.pipeline.results.checking import bounded, sound
from s2sw.schemas.tables import Row

_PLANE = ("image_position", "image_orientation")


class SeriesNumbers:
    """Numbers slices from 1 on among all slices in the results of one series, in anatomical order.

    So an image has the same number whichever slices an export takes. Of an object without a series these are
    its own slices.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, fingerprint: str) -> None:
        self._connection = connection
        self._fingerprint = fingerprint
        self._series: dict[str, dict[tuple[str, int], int]] = {}

    def of(self, row: Row) -> int:
        """Return the number of a row of ``Case``, which has its object's series_id."""
        series = row["series_id"] or row["object_id"]
        if series not in self._series:
            self._series[series] = self._numbers(row)
        return self._series[series][row["object_id"], row["slice_index"]]

    def _numbers(self, row: Row) -> dict[tuple[str, int], int]:
        which = "series_id = $id" if row["series_id"] else "object_id = $id"
        columns = ", ".join(bounded("slices", name) for name in _PLANE)
        found = self._connection.cursor().sql(
            f"SELECT object_id, slice_index, uri, instance_number, {columns} FROM slices "  # noqa: S608
            f"JOIN (SELECT object_id, fingerprint, run_id, uri FROM objects WHERE {which}) "
            "USING (object_id, fingerprint, run_id) WHERE fingerprint = $settings",
            params={"id": row["series_id"] or row["object_id"], "settings": self._fingerprint},
        )
        members, _ = sound(found.to_arrow_table().to_pylist())
        ordered = in_order(members, plane_from)
        return {(one["object_id"], one["slice_index"]): number for number, one in enumerate(ordered, 1)}
