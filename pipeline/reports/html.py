"""The report as one self-contained HTML page: no script, nothing fetched, everything from data escaped."""

import json
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from s2sw.pipeline.evidence.nights import Nights
from s2sw.pipeline.pages.charts import Bar, rate_chart, score_chart
from s2sw.pipeline.pages.night_chart import night_chart
from s2sw.pipeline.pages.rendering import template
from s2sw.pipeline.reports.figures import RunReport
from s2sw.pipeline.reports.speed import Span, spans, stages
from s2sw.pipeline.reports.summary_text import EXPLANATIONS, UNTRAINED
from s2sw.pipeline.reports.text import flagged_line, outcome
from s2sw.schemas.outcomes import Status

BARS = 50


def report_page(report: RunReport) -> str:
    """Return the page."""
    summary = report.run.summary
    bars = _bars(report)
    return template("report.html").render(
        report=report,
        run=report.run,
        summary=summary,
        outcome=outcome(summary),
        notes=list(_notes(report)),
        untrained=None if summary.bundle.get("trained") else UNTRAINED,
        morning=list(_morning(report)),
        night_charts={_moved(one): _night_chart(one) for one in report.nights},
        statuses=[
            (status.value, summary.by_status.get(status, 0), summary.new.get(status, 0), EXPLANATIONS[status])
            for status in Status
        ],
        bars=bars,
        score_chart=_score_chart(report, bars) if bars else None,
        flagged=None if report.flagged is None else flagged_line(report),
        reasons=report.same_settings.reasons.most_common(),
        quarantined=report.same_settings.reasons.total(),
        rate_charts=_rate_charts(spans(summary.timeline)),
        stages=stages(summary),
        detector=_flat(summary.bundle),
        config=_flat(report.run.config),
        resources=_flat(summary.resources),
    )


def _notes(report: RunReport) -> Iterator[str]:
    """Say what a reader must not miss."""
    summary = report.run.summary
    if summary.outcome == "failed":
        yield "The run failed. To continue, give the same command again."
    elif summary.interrupted:
        yield "The run was stopped early. To continue, give the same command again."
    if not summary.by_status:
        yield "It ended before it compared what it listed with what is committed."
    if summary.missing or summary.duplicates:
        yield f"NOT accounted for: {summary.missing} objects missing, {summary.duplicates} there twice."
    if summary.exit_code == 4:
        yield f"More than {summary.max_quarantined:.1%} of the listed objects are quarantined."
    if report.unfinished:
        yield f"Results without a run file (killed, or still at work): {', '.join(report.unfinished)}."


def _morning(report: RunReport) -> Iterator[str]:
    """Say what a reader wants to know first: what the lists are worth, what moved, what is left."""
    yield from (f"{line}." for line in report.worth)
    if not report.worth:
        yield "No worklist of this run was written; `s2sw worklist` makes it."
    if report.drift:
        yield f"{report.drift}."
    deferred = report.run.summary.by_status.get(Status.DEFERRED, 0)
    yield f"{deferred:,} objects are left for the next run." if deferred else "Nothing was deferred."


def _moved(nights: Nights) -> str:
    return f"{nights.change.group}: {nights.change.measure} over nights"


def _night_chart(nights: Nights) -> Markup:
    change = nights.change
    text = f"{change.words()}; histograms of objects over {len(nights.days)} nights, one column a night."
    return night_chart(nights.days, nights.edges, nights.shares, _moved(nights), text)


def _bars(report: RunReport) -> list[Bar]:
    every, own = report.same_settings.scores, report.own.scores
    if not every.total:
        return []
    binning = every.binning(BARS)
    edges = binning.edges()
    columns = zip(edges, edges[1:], every.bars(binning), own.bars(binning), strict=False)
    return [Bar(*column) for column in columns]


def _score_chart(report: RunReport, bars: list[Bar]) -> Markup:
    every = report.same_settings.scores
    markers = every.markers()
    text = (
        f"Histogram with logarithmic counts of {every.total:,} slices, {report.own.scores.total:,} of them "
        f"from this run: {', '.join(f'{name} {value:.4f}' for name, value in markers)}."
    )
    return score_chart(bars, markers, "Image scores", text)


def _rate_charts(found: list[Span]) -> dict[str, Markup]:
    """Return charts by title."""
    if not found:
        return {}
    series = {
        "Slices per second": [(span.start, span.end, span.slices_per_second) for span in found],
        "Objects per second": [(span.start, span.end, span.objects_per_second) for span in found],
    }
    return {title: rate_chart(values, title, _rate_text(title, values)) for title, values in series.items()}


def _rate_text(title: str, values: list[tuple[float, float, float]]) -> str:
    mean = sum((end - start) * rate for start, end, rate in values) / values[-1][1]
    peak = max(rate for _, _, rate in values)
    return f"{title} over {values[-1][1]:.0f} seconds: {mean:.1f} on average, {peak:.1f} at most."


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return dotted keys and their values as text; nothing set is an empty text."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            rows.append((f"{prefix}{key}", "" if value is None else text))
    return rows
