"""The benchmark of the list of cases, on few of them: pages hold what was generated."""

from pathlib import Path

import pytest

from benchmarks import review_cases
from s2sw.pipeline.review.media import Switches
from tests.pipeline.review.serving import served

ROWS = 3000


def test_pages_over_generated_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_cases, "PART_ROWS", 1000)
    monkeypatch.setattr(review_cases, "LISTED", 100)
    monkeypatch.setattr(review_cases, "DECIDED", 40)
    monkeypatch.setattr(review_cases, "TIMES", 1)
    output = tmp_path / "results"
    review_cases.generate(output, ROWS)
    with served(output, tmp_path / "private", switches=Switches(pictures=False)) as page:
        assert len(list(review_cases.measured(page, ROWS))) == 4
        text = page.get("/").text
        assert "100 of 3,000 cases are on the list; at most 3.3 % of them" in text
        assert "40</strong> of <strong>100</strong> cases on the list are decided" in text
        assert text.count('class="card case"') == 48
        assert page.get("/?decision=open&after=88").text.count('class="card case"') == 12
        assert page.get(f"/?every=1&after={ROWS - 5}").text.count('class="card case"') == 5
