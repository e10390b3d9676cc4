"""One evaluation as it is asked for: bundles on a data set or on a suite, or stored scores by decisions."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from s2sw.connectors.datasets import DataSet, open_dataset
from s2sw.model.bundles.record import read_record
from s2sw.model.errors import BundleError
from s2sw.model.precision import Precision
from s2sw.pipeline.evaluation import suites
from s2sw.pipeline.evaluation.comparing import Candidate, Comparison, compare, labelled
from s2sw.pipeline.evaluation.figures import Evaluation, json_record
from s2sw.pipeline.evaluation.measuring import Measuring
from s2sw.pipeline.evaluation.reviewed import evaluate_decisions
from s2sw.pipeline.evaluation.tables import print_comparison, print_evaluation
from s2sw.pipeline.results.opening import open_existing, readable
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.results.sql_views import EVERY
from s2sw.pipeline.stages.bundles import bundle_folder
from s2sw.schemas.storage import StorageSettings

Follow = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""From a data set's name and the pictures to come to what is called after each of them."""


@dataclass(frozen=True)
class Way:
    """How bundles are evaluated, and how a caller follows."""

    follow: Follow
    how: Measuring = field(default_factory=Measuring)
    device: str = "cpu"
    precision: Precision = "fp32"

    def compare(self, contenders: list[Candidate], data: DataSet, *, pictures: bool) -> Comparison:
        """Evaluate contenders on one data set; pictures: draw the worst ones."""
        with self.follow(data.name, len(data.samples) * len(contenders)) as step:
            how = replace(self.how, step=step)
            return compare(
                contenders, data, how, device=self.device, precision=self.precision, pictures=pictures
            )


@dataclass(frozen=True)
class Findings:
    """What an evaluation found, the JSON's content, and the ways to show it; None where there is none."""

    evaluations: list[Evaluation]
    record: dict[str, Any]
    show: Callable[[Console], None]
    html: Callable[[], str] | None = None
    markdown: Callable[[], str] | None = None


def evaluate_bundles(
    way: Way, bundles: Sequence[str], data: str, *, split: str = "test", pictures: bool = False
) -> Findings:
    """Evaluate bundles (folders, ``s3://`` prefixes, or ``embedded``) on one data set.

    pictures: the page will be wanted. Raises BundleError and DataSetError.
    """
    opened = open_dataset(data, split=split)
    found = way.compare(contenders(bundles), opened, pictures=pictures)

    def show(console: Console) -> None:
        for evaluation in found.evaluations:
            print_evaluation(evaluation, console)
        if len(found.evaluations) > 1:
            print_comparison(found.evaluations, console)

    several = found.evaluations
    return Findings(several, json_record(several), show, html=lambda: found.page(way.how))


def evaluate_suite(way: Way, bundles: Sequence[str], file: Path) -> Findings:
    """Evaluate bundles, and those that the suite names, on all of a suite's data sets. Raises SuiteError."""
    suite = suites.read_suite(file)
    opened = suites.open_datasets(suite, file)
    names = [*bundles, *suites.bundle_names(suite, file)]
    if not names:
        raise suites.SuiteError(f"no bundle: name one before --suite, or under 'bundles' in {file}")
    several = contenders(names)
    evaluations: list[list[Evaluation]] = [
        way.compare(several, data, pictures=False).evaluations for data in opened
    ]
    result = suites.suite_result(suite, evaluations)
    return Findings(
        [one for several in evaluations for one in several],
        result.record(),
        lambda console: suites.print_suite(result, console),
        html=lambda: suites.suite_page(result),
        markdown=lambda: suites.suite_markdown(result),
    )


def evaluate_output(output: str) -> Findings:
    """Judge the stored scores of a screening by reviewers' decisions. Raises NoDecisionsError."""
    folder = open_existing(output, StorageSettings())
    with readable(folder):
        evaluations = evaluate_decisions(Results(folder, EVERY), output)

    def show(console: Console) -> None:
        for evaluation in evaluations:
            print_evaluation(evaluation, console)

    return Findings(evaluations, json_record(evaluations), show)


def contenders(names: Sequence[str]) -> list[Candidate]:
    """Return bundles by name, each looked at before hours of work with the first one. Raises BundleError."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BundleError(f"bundle {twice} is named twice; name each one once")
    folders = [bundle_folder(name, StorageSettings()) for name in names]
    for folder in folders:
        read_record(folder, check_weights=False)
    return labelled(names, folders)
