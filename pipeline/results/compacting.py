"""Merging the parts of an output as a whole, with its lease held and an entry in its audit log."""

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.audit import COMPACTED, AuditLog, who
from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.merging import merge, merges
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.ledger.output_key import OutputKey
from s2sw.pipeline.ledger.writer import sweep_orphans
from s2sw.pipeline.privacy.private_dir import new_run_id


def compact(output: OutputFolder, rows: int, private: bool, key: OutputKey) -> tuple[int, int]:
    """Merge parts until none can be; return how many there were and how many they became.

    rows: of a part at most. private, key: of the results; the entry of private ones is sealed. Raises
    LeaseHeldError while a run works on the output, AuditError where the key is another one or missing.
    """
    refuse_other_key(output, private, key.key if private else None)
    run_id = new_run_id()
    with Lease(output, run_id) as lease:
        lease.check()
        sweep_orphans(output)
        groups = merges(output, rows)
        if not groups:
            return 0, 0
        before = sum(map(len, groups))
        facts = {**who(), "parts": before, "merged_into": len(groups)}
        AuditLog(output, key.key if private else None, key.scope).append(COMPACTED, run_id, facts)
        for group in groups:
            merge(output, group, lease.check)
    return before, len(groups)
