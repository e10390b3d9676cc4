"""Reading ``runs/RUN.json`` back."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError, model_validator

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.summary import RunSummary
from s2sw.schemas.errors import UserError


class ReportError(UserError):
    """There is nothing to report on; the message says what was looked for and what to do."""


class RunRecord(BaseModel):
    """What one run wrote of itself. config and versions as in RunSummary.as_json."""

    summary: RunSummary
    config: dict[str, Any]
    versions: dict[str, str]

    @model_validator(mode="after")
    def _names_its_detector(self) -> "RunRecord":
        missing = {"detector", "prompts", "trained"} - set(self.summary.bundle)
        if missing:
            raise ValueError(f"bundle lacks {', '.join(sorted(missing))}")
        return self

    @property
    def private(self) -> bool:
        """Whether the run kept addresses out of its results; also where the file does not say."""
        return self.config.get("mode") != "open"


def run_ids(output: OutputFolder) -> list[str]:
    """Return the ids of the runs that left a file, oldest first."""
    names = (name.removeprefix("runs/") for name in output.names("runs"))
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def read_run(output: OutputFolder, run_id: str) -> RunRecord:
    """Read one run's file. Raises ReportError if it is damaged."""
    name = f"runs/{run_id}.json"
    try:
        document = json.loads(output.read(name))
        if not isinstance(document, dict):
            raise ValueError("an object with keys is expected")
        return RunRecord.model_validate({**document, "summary": document})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]).removeprefix("summary.")
        problem = f"'{key}': {first['msg']}" if key else first["msg"]
        raise ReportError(f"{output.root}/{name}: not the file of a run ({problem})") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{output.root}/{name}: not the file of a run ({error})") from error


def choose_run(output: OutputFolder, run_id: str | None) -> RunRecord:
    """Return the named run, or the latest. Raises ReportError, listing the known ones."""
    known = known_runs(output)
    if run_id is None:
        return read_run(output, known[-1])
    if run_id not in known:
        listed = ", ".join(known[-10:])
        earlier = f"and {len(known) - 10} earlier; " if len(known) > 10 else ""
        raise ReportError(f"no run {run_id} in {output.root}; known: {listed} ({earlier}--all lists them)")
    return read_run(output, run_id)


def all_runs(output: OutputFolder) -> Iterator[RunRecord]:
    """Yield every run, oldest first. Raises ReportError if there is none."""
    for run_id in known_runs(output):
        yield read_run(output, run_id)


def known_runs(output: OutputFolder) -> list[str]:
    """Return the ids of all runs. Raises ReportError if there is none."""
    known = run_ids(output)
    if not known:
        raise ReportError(f"{output.root} holds no runs (runs/*.json); name the --output of a screening")
    return known
