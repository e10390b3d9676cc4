"""An evaluation as one self-contained HTML page: no script, nothing fetched, everything from data escaped."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from markupsafe import Markup

from s2sw.model.metrics import Ranking
from s2sw.pipeline.evaluation.charts import Line, curve_chart, label_histogram
from s2sw.pipeline.evaluation.disagreement import Disputed
from s2sw.pipeline.evaluation.figures import METRICS, Evaluation
from s2sw.pipeline.evaluation.tables import cell, class_rows, columns_with_values, counts
from s2sw.pipeline.pages.overlaid import Overlaid, legend_style
from s2sw.pipeline.pages.rendering import template


@dataclass(frozen=True)
class Shown:
    """A picture of the page, what it is called, and what is said of it."""

    picture: Overlaid
    name: str
    text: str


@dataclass(frozen=True)
class Gallery:
    """The pictures of one judge's worst false alarms and misses."""

    false_alarms: list[Shown] = field(default_factory=list)
    misses: list[Shown] = field(default_factory=list)


@dataclass(frozen=True)
class Dispute:
    """A picture that judges rank differently."""

    disputed: Disputed
    picture: Overlaid


def evaluation_page(evaluations: list[Evaluation], galleries: list[Gallery], disputes: list[Dispute]) -> str:
    """Return the page of one or several judges on one data set; galleries: one a judge."""
    means = [evaluation.mean() for evaluation in evaluations]
    return template("evaluation.html").render(
        dataset=evaluations[0].dataset,
        evaluations=evaluations,
        galleries=galleries,
        disputes=disputes,
        legend_style=legend_style(),
        means=means,
        mean_keys=columns_with_values(means),
        metrics=METRICS,
        cell=cell,
        counts=counts,
        class_rows=class_rows,
        columns_with_values=columns_with_values,
        charts={name: list(_charts(evaluations, name)) for name in evaluations[0].classes},
        histograms=[(e.judge.label, _histogram(e, i)) for i, e in enumerate(evaluations) if e.scored],
    )


def _charts(evaluations: list[Evaluation], group: str) -> Iterator[tuple[str, Markup]]:
    """Yield the ROC and precision-recall charts of one class, of images and of pixels where they are."""
    for level in ("image", "pixel"):
        rankings = [(e.judge.label, getattr(e.classes[group], level)) for e in evaluations]
        drawn = [(label, ranking) for label, ranking in rankings if ranking and ranking.auroc is not None]
        if not drawn:
            continue
        roc = [Line(f"{n}: AUROC {cell(r.auroc)}", [0, *r.curve.fpr], [0, *r.curve.recall]) for n, r in drawn]
        pr = [Line(f"{n}: AP {cell(r.ap)}", r.curve.recall, r.curve.precision) for n, r in drawn]
        roc_title, pr_title = f"{group}: {level} ROC", f"{group}: {level} precision and recall"
        yield roc_title, curve_chart(roc, roc_title, ("false positive rate", "recall"), _text(roc, drawn))
        yield pr_title, curve_chart(pr, pr_title, ("recall", "precision"), _text(pr, drawn))


def _text(lines: list[Line], drawn: list[tuple[str, Ranking]]) -> str:
    _, first = drawn[0]
    return f"{first.normal:,} normal, {first.anomalous:,} anomalous. " + "; ".join(
        line.name for line in lines
    )


def _histogram(evaluation: Evaluation, number: int) -> Markup:
    normal = [one.score for one in evaluation.scored if not one.anomalous]
    anomalous = [one.score for one in evaluation.scored if one.anomalous]
    text = f"{len(normal):,} normal and {len(anomalous):,} anomalous pictures by image score."
    return label_histogram(normal, anomalous, f"Image scores {number + 1}", text)
