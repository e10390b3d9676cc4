"""Lists of cases of screened archives."""

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.evidence.cases import case_worklist
from s2sw.pipeline.evidence.worklist import newest_run, write
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.layout import CASES_FOLDER
from tests.support.screened import SETTINGS, Screened


def write_cases(screened: Screened) -> None:
    """Write the list of cases of the newest run with room for two."""
    output = LocalOutput(screened.output)
    results = Results(output, SETTINGS)
    made = case_worklist(results, newest_run(results), FlagSettings(budget=2), "20260701")
    write(output, made, CASES_FOLDER)
