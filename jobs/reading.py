"""How commands that read results are told where these lie: an output, or the job file that wrote them."""

from pathlib import Path
from typing import TYPE_CHECKING

from s2sw.jobs.configuration import build_results_config, is_configuration
from s2sw.jobs.errors import warn

if TYPE_CHECKING:
    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.schemas.config import ResultsConfig


def results_config(
    results: str, endpoint_url: str | None = None, private_dir: str | None = None
) -> "ResultsConfig":
    """Return where results lie: from a job file (its output, storage and private folder) or an address.

    Options that are given override the file. Raises ConfigurationError.
    """
    from_file = is_configuration(results)
    options = {
        "output": None if from_file else results,
        "private_dir": private_dir,
        "storage.endpoint_url": endpoint_url,
    }
    return build_results_config(Path(results) if from_file else None, options)


def open_output(config: "ResultsConfig") -> "OutputFolder":
    """Return the output to read, saying in one line which files of it are left out. Raises ReportError."""
    from s2sw.pipeline.results.opening import damaged_parts, open_existing

    output = open_existing(config.output, config.storage)
    if left_out := damaged_parts(output):
        warn(left_out)
    return output


def protect(output: "OutputFolder") -> bool:
    """Let nothing of private results out of this process, and tell whether they are private.

    What it writes is its user's alone, core dumps and texts of errors say nothing. Called before a command
    writes what it read. Raises ReportError.
    """
    from s2sw.pipeline.privacy.environment import enter_reader
    from s2sw.pipeline.results.mode import results_are_private
    from s2sw.pipeline.results.opening import readable

    with readable(output):
        private = results_are_private(output)
    enter_reader(private)
    return private
