"""Which slices are flagged: those whose score reaches the threshold of their site and modality.

The score is the rank score where a profile gave one, else the image score.

The thresholds are those of the newest run's configuration (``flag``). They change no row, so another one
needs no second screening: the next run, even one with nothing left to do, puts it in force.
"""

import duckdb

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.run_records import read_run, run_ids
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.tables import RANK


def flag_settings(output: OutputFolder) -> FlagSettings:
    """Return the thresholds in force; none without a run's file. Raises ReportError for a damaged one."""
    runs = run_ids(output)
    if not runs:
        return FlagSettings()
    return read_run(output, runs[-1]).flag


def create_flagged(connection: duckdb.DuckDBPyConnection, flag: FlagSettings) -> None:
    """Create the view ``flagged``: the rows of ``slices`` that are, with ``flag_threshold``."""
    threshold = threshold_sql(flag)
    connection.execute(
        f"CREATE VIEW flagged AS SELECT *, {threshold} AS flag_threshold FROM slices "  # noqa: S608
        f"WHERE {RANK} >= {threshold}"
    )


def threshold_sql(flag: FlagSettings) -> str:
    """Return the threshold of a row of ``slices``; NULL where nothing is flagged.

    Of the precision of scores, so that one that reads 0.9 reaches a threshold of 0.9.
    """
    default = "NULL" if flag.threshold is None else repr(flag.threshold)
    groups = " ".join(
        f"WHEN {_condition(group.site, group.modality)} THEN {group.threshold!r}" for group in flag.groups
    )
    return f"CAST({f'CASE {groups} ELSE {default} END' if groups else default} AS FLOAT)"


def has_site(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether any row of the results names a site."""
    return bool(connection.execute("SELECT 1 FROM objects WHERE site IS NOT NULL LIMIT 1").fetchall())


def would_flag(
    connection: duckdb.DuckDBPyConnection, fingerprint: str, flag: FlagSettings
) -> tuple[int, int]:
    """Return how many slices of a fingerprint reach these thresholds, and how many there are."""
    threshold = threshold_sql(flag)
    query = (
        f"SELECT count(*) FILTER ({RANK} >= {threshold}), count(*) FROM slices "  # noqa: S608
        "WHERE fingerprint = ?"
    )
    flagged, total = connection.execute(query, [fingerprint]).fetchall()[0]
    return flagged, total


def _condition(site: str | None, modality: str | None) -> str:
    """Return what is true of the slices of a group; one without a site fits none that names one."""
    parts = []
    if site is not None:
        parts.append(f"coalesce(site, '') = {_text(site)}")
    if modality is not None:
        parts.append(f"modality = {_text(modality)}")
    return " AND ".join(parts) or "true"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
