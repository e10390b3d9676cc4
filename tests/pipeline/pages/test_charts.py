"""Charts are well-formed SVG with texts for those who cannot see them, drawn to scale."""

from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.pipeline.pages.charts import LEFT, RIGHT, WIDTH, Bar, rate_chart, score_chart, ticks

SVG = "{http://www.w3.org/2000/svg}"
BARS = [Bar(0.2, 0.3, 1000, 10), Bar(0.3, 0.4, 1, 1), Bar(0.4, 0.5, 0, 0)]


def drawn(markup: str) -> Element:
    return fromstring(markup)


def rects(svg: Element, kind: str) -> list[dict[str, float]]:
    found = [rect for rect in svg.iter("rect") if rect.get("class") == kind]
    return [{key: float(rect.attrib[key]) for key in ("x", "y", "width", "height")} for rect in found]


def test_bars_grow_with_the_logarithm() -> None:
    svg = drawn(score_chart(BARS, [], "Scores", "1,001 slices"))
    tall, short = rects(svg, "all")
    own = rects(svg, "own")
    assert tall["height"] > own[0]["height"] > own[1]["height"] == short["height"] > 0
    hundred = tall["height"] - own[0]["height"]  # 1,000 to 10
    assert own[0]["height"] - short["height"] == pytest.approx(hundred / 2, abs=0.02)  # 10 to 1
    assert tall["x"] == LEFT
    assert short["x"] == pytest.approx(LEFT + (WIDTH - LEFT - RIGHT) / 3, abs=0.01)


def test_a_chart_has_a_title_and_a_text() -> None:
    svg = drawn(score_chart(BARS, [("max", 0.35)], "Image scores", "what it shows"))
    assert svg.get("role") == "img"
    texts = {child.get("id"): child.text for child in svg if child.get("id")}
    assert [texts[name] for name in svg.attrib["aria-labelledby"].split()] == [
        "Image scores",
        "what it shows",
    ]
    assert "max 0.3500" in [text.text for text in svg.iter("text")]


def test_text_is_escaped() -> None:
    svg = drawn(score_chart(BARS, [("<script>", 0.3)], 'A "title" & more', "</desc><script>"))
    assert list(svg.iter("script")) == []
    assert svg[1].text == "</desc><script>"


@given(st.lists(st.tuples(st.floats(0.1, 1e5), st.floats(0, 1e4)), min_size=1, max_size=60))
def test_rates_stay_inside(values: list[tuple[float, float]]) -> None:
    spans, start = [], 0.0
    for seconds, rate in values:
        spans.append((start, start + seconds, rate))
        start += seconds
    svg = drawn(rate_chart(spans, "Slices per second", "text"))
    box = [float(number) for number in svg.attrib["viewBox"].split()]
    for shape in (*svg.iter("polygon"), *svg.iter("polyline")):
        for point in shape.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert LEFT <= x <= WIDTH - RIGHT
            assert 0 <= y <= box[3]


@given(st.floats(0, 1e6), st.floats(1e-4, 1e6), st.integers(2, 8))
def test_ticks_are_few_and_inside(low: float, span: float, most: int) -> None:
    values = ticks(low, low + span, most)
    assert len(values) <= most + 1
    assert all(low - span * 1e-3 <= value <= low + span * 1.001 for value in values)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.5, 0.51, 5, [0.5, 0.502, 0.504, 0.506, 0.508, 0.51]),
        (3, 3, 4, [3]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]) -> None:
    assert ticks(low, high, most) == expected
