"""How the page calls an object: by its address where the results may say it, else by its id."""

from pathlib import PurePosixPath

from s2sw.pipeline.results.sources import ObjectRef, Sources
from s2sw.pipeline.review.archive import Archive
from s2sw.schemas.tables import Row


class Naming:
    """Names of objects. revealed: private results too are named by their addresses, from the crosswalk."""

    def __init__(self, archive: Archive, sources: Sources, revealed: bool) -> None:
        self._archive = archive
        self._sources = sources
        self._revealed = revealed

    def names(self, rows: list[Row]) -> dict[str, "Name"]:
        """Return the name of each row's object by its id."""
        if self._archive.private:  # an address in private results is nobody's of ours
            rows = [{**row, "uri": None} for row in rows]
        known = {row["object_id"]: row["uri"] for row in rows if row.get("uri")}
        if not self._archive.private and rows and "uri" not in rows[0]:
            found = self._archive.objects({row["object_id"] for row in rows}, rows[0]["fingerprint"])
            known = {object_id: row["uri"] for object_id, row in found.items() if row["uri"]}
        elif self._revealed:
            wanted = [ObjectRef(row["object_id"], row["run_id"]) for row in rows]
            known |= {object_id: stored.address for object_id, stored in self._sources.find(wanted).items()}
        return {row["object_id"]: Name(row["object_id"], known.get(row["object_id"])) for row in rows}


class Name:
    """An object's id, and its address where it may be shown."""

    def __init__(self, object_id: str, address: str | None) -> None:
        self.object_id = object_id
        self.address = address

    @property
    def short(self) -> str:
        """The last part of the address, or the id."""
        return PurePosixPath(self.address).name or self.address if self.address else self.object_id
