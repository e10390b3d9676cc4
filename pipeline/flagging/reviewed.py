"""What reviewers' decisions say of an output's objects, for a profile of its archive."""

import duckdb

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.flagging.decisions import VERDICTS, decisions
from s2sw.pipeline.profile.drafting import Reviewed

_ANY = f"""
SELECT object_id, slice_index, bool_or(anomalous) AS anomalous FROM ({VERDICTS}) GROUP BY ALL
"""  # noqa: S608 (a constant)


def reviewed_in(output: OutputFolder) -> Reviewed:
    """Return slices that reviewers called normal, and objects in which they found something.

    Under whatever settings they looked: what they say is of the picture. Raises DecisionError.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("decisions", decisions(output))
        rows = connection.sql(_ANY).fetchall()
    findings = frozenset(owner for owner, _, anomalous in rows if anomalous)
    normal = frozenset((owner, index) for owner, index, anomalous in rows if not anomalous)
    return Reviewed(frozenset(one for one in normal if one[0] not in findings), findings)
