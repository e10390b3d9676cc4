"""What a run leaves behind, however it ends: its record, its log, and entries in the audit log."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

from s2sw.pipeline.ledger.audit import STARTED, AuditLog, end_facts, start_facts
from s2sw.pipeline.ledger.summary import versions
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.run_log import RunLog
from s2sw.schemas.layout import MARKER, log_name, record_name
from s2sw.schemas.run_record import RunSummary, record_bytes


@contextlib.contextmanager
def recorded(job: Job, summary: RunSummary, audit: AuditLog, key: bytes | None) -> Iterator[None]:
    """Write the entry of the start, and at the end outcome, record and log. key: of the ids, if any."""
    run_id, output = summary.run_id, job.output
    audit.append(STARTED, run_id, start_facts(job.config, job.record.fingerprint, summary.fingerprint, key))
    run_log = RunLog()
    try:
        output.create(MARKER, b"results of s2sw; no source is looked for here\n")
        with run_log:
            yield
        summary.outcome = "interrupted" if summary.interrupted else "finished"
    except KeyboardInterrupt:  # before anything was taken up
        summary.interrupted, summary.outcome = True, "interrupted"
        raise
    except BaseException:
        summary.outcome = "failed"
        raise
    finally:
        summary.finished = now()
        document = record_bytes(summary, job.config, versions())
        output.write(record_name(run_id), document)
        output.write(log_name(run_id), run_log.document())
        audit.append(summary.outcome, run_id, end_facts(summary, document))


def now() -> str:
    """Return the time as records have it: UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
