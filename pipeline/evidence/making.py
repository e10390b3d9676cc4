"""What worklists there are."""

from s2sw.pipeline.evidence.cases import case_worklist
from s2sw.pipeline.evidence.worklist import object_worklist
from s2sw.schemas.layout import CASES_FOLDER, WORKLIST_FOLDER

KINDS = {"object": (object_worklist, WORKLIST_FOLDER), "case": (case_worklist, CASES_FOLDER)}
"""Of what is listed: the function that makes its worklist, and the folder that this is written to."""
