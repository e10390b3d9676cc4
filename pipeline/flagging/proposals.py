"""Samples of scores from results and decisions, and the thresholds that they propose."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from s2sw.pipeline.flagging.decisions import VERDICTS
from s2sw.pipeline.flagging.rule import has_site
from s2sw.pipeline.flagging.thresholds import Proposal, TooFewError
from s2sw.schemas.errors import UserError
from s2sw.schemas.flagging import FlagGroup, FlagSettings
from s2sw.schemas.tables import RANK

COLUMNS = ("site", "modality")
"""What thresholds may differ by."""

Group = dict[str, str]
Propose = Callable[[NDArray[np.float64], NDArray[np.bool_]], Proposal]

_DECIDED = f"""
SELECT s.*, anomalous FROM slices s JOIN ({VERDICTS}) USING (object_id, slice_index, fingerprint)
"""  # noqa: S608
_NORMAL = """
SELECT *, false AS anomalous FROM slices
ANTI JOIN (SELECT * FROM decisions WHERE decision = 'accept') USING (object_id, slice_index, fingerprint)
"""
SAMPLES = {"decisions": _DECIDED, "normals": _NORMAL}
"""Where scores come from: slices that reviewers decided on, or all that none accepted as an anomaly."""


class GroupingError(UserError):
    """The results cannot be divided as asked; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What came of one group ({}: all slices together): a proposal, or why there is none."""

    group: Group
    proposal: Proposal | None
    problem: str = ""


def propose(
    connection: duckdb.DuckDBPyConnection, fingerprint: str, source: str, by: list[str], rule: Propose
) -> list[Answer]:
    """Return the answer for all slices of a fingerprint together, then those of each group.

    connection: with ``slices`` and ``decisions``. source: a key of SAMPLES. by: columns, any of COLUMNS.
    Raises GroupingError.
    """
    if unknown := sorted(set(by) - set(COLUMNS)):
        raise GroupingError(f"--by {unknown[0]}: {' and '.join(COLUMNS)} are known")
    if "site" in by and not has_site(connection):
        raise GroupingError("--by site: no row of the results names a site (parts.site in a job file)")
    samples = list(_samples(connection, fingerprint, source, []))
    if by:
        samples += _samples(connection, fingerprint, source, by)
    return [_answer(group, scores, anomalous, rule) for group, scores, anomalous in samples]


def settings(answers: list[Answer]) -> FlagSettings:
    """Return the thresholds as a run is told them."""
    found = [(answer.group, answer.proposal.threshold) for answer in answers if answer.proposal]
    overall = [threshold for group, threshold in found if not group]
    groups = [FlagGroup(threshold=threshold, **group) for group, threshold in found if group]
    return FlagSettings(threshold=overall[0] if overall else None, groups=tuple(groups))


def _samples(
    connection: duckdb.DuckDBPyConnection, fingerprint: str, source: str, by: list[str]
) -> Iterator[tuple[Group, NDArray[np.float64], NDArray[np.bool_]]]:
    columns = "".join(f"coalesce({name}, '') AS {name}, " for name in by)
    order = f"ORDER BY {', '.join(by)}" if by else ""
    query = (
        f"SELECT {columns} list(({RANK})::DOUBLE) AS scores, list(anomalous) AS anomalous "  # noqa: S608
        f"FROM ({SAMPLES[source]}) WHERE fingerprint = ? GROUP BY ALL {order}"
    )
    table = connection.sql(query, params=[fingerprint]).to_arrow_table()
    for index in range(len(table)):
        row = {name: table[name][index] for name in table.column_names}
        scores, anomalous = (row.pop(name).values for name in ("scores", "anomalous"))
        group = {name: value.as_py() for name, value in row.items()}
        # an empty list of all slices is null
        yield (
            group,
            np.asarray([] if scores is None else scores, np.float64),
            np.asarray([] if anomalous is None else anomalous, np.bool_),
        )


def _answer(group: Group, scores: NDArray[np.float64], anomalous: NDArray[np.bool_], rule: Propose) -> Answer:
    try:
        return Answer(group, rule(scores, anomalous))
    except TooFewError as error:
        return Answer(group, None, str(error))
