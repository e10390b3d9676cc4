"""The account of a run: every listed object has one end, by the ids in the committed files themselves."""

import numpy as np
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.listing.id_sets import IdSets
from s2sw.pipeline.listing.partitions import partitions_of
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.layout import DEFERRED_FILE
from s2sw.schemas.outcomes import Status
from s2sw.schemas.run_record import RunSummary


def account(summary: RunSummary, output: OutputFolder, sets: IdSets, tally: Tally, too_late: bool) -> None:
    """Write what is left for the next run, and fill in the summary's counts.

    sets: listed and done ids, as committed. tally: what this run did. too_late: the time window is over.
    """
    left = sets.left(summary.run_id).read_all()
    output.write(DEFERRED_FILE, table_bytes(left))
    unfinished = tally.total - (tally.objects - tally.statuses[Status.DEFERRED])
    # a worker's clock may be ahead of this one: what it deferred shows that the window is over
    stopped = too_late or summary.interrupted or bool(tally.statuses[Status.DEFERRED])
    summary.missing = len(left) - (unfinished if stopped else 0)
    if summary.partitions:
        summary.missing = max(summary.missing, _unsound(summary, left))
    summary.duplicates = sets.duplicates()
    summary.by_status = {status.value: 0 for status in Status} | sets.statuses()
    summary.by_status[Status.DEFERRED] = len(left) - summary.missing
    summary.new = {status.value: tally.statuses[status] for status in Status}
    summary.new[Status.DEFERRED] = unfinished
    summary.reasons = dict(tally.reasons)
    summary.slices, summary.views = tally.slices, tally.views


def _unsound(summary: RunSummary, left: pa.Table) -> int:
    """Note how many objects of each partition are left; return how many it did not say so of.

    What one partition lacks, another one that has as much too many must not hide.
    """
    count = summary.resources["partitions"]
    places = partitions_of(left["object_id"].to_pylist(), count)
    of_each = np.bincount(places, minlength=count)
    for one in summary.partitions:
        one["left"] = int(of_each[int(one["number"])])
    return sum(int(abs(one["objects"] - one["finished"] - one["left"])) for one in summary.partitions)
