"""What is counted, in the format that Prometheus reads."""

import re
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from convscope.serving.counts import Counts, Histogram

SAMPLE = re.compile(
    r'(?P<name>[a-z_]+)(?:\{(?P<labels>(?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (?P<value>[0-9.e+-]+)'
)


def read(text: str) -> dict[str, dict[str, float]]:
    """Name -> labels -> value; every line is one of those that the format knows, and each name is declared first."""
    assert text.endswith("\n")
    samples: dict[str, dict[str, float]] = defaultdict(dict)
    declared: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram") and name not in declared
            declared[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            base = re.sub("_(bucket|sum|count)$", "", match["name"])
            assert match["name"] in declared or declared[base] == "histogram"
            assert (match["labels"] or "") not in samples[match["name"]], "twice"
            samples[match["name"]][match["labels"] or ""] = float(match["value"])
    return samples


def test_everything_is_counted() -> None:
    counts = Counts()
    for path, status in (("/predict", 200), ("/predict", 200), ("/predict", 400), ("/health", 200)):
        counts.request(path, status)
    counts.images(answered=3, refused=1)
    counts.prediction(0.003)
    counts.batch(2)
    counts.batch(33)
    samples = read(counts.text(queue=7, facts={"run": "first"}))
    assert samples["convscope_requests_total"] == {
        'path="/health",status="200"': 1,
        'path="/predict",status="200"': 2,
        'path="/predict",status="400"': 1,
    }
    assert samples["convscope_images_total"] == {'result="answered"': 3, 'result="refused"': 1}
    assert samples["convscope_batch_images_sum"][""] == 35
    assert samples["convscope_batch_images_bucket"]['le="32"'] == 1
    assert samples["convscope_batch_images_bucket"]['le="64"'] == 2
    assert samples["convscope_prediction_seconds_bucket"]['le="0.005"'] == 1
    assert samples["convscope_prediction_seconds_bucket"]['le="0.0025"'] == 0
    assert samples["convscope_queue_images"] == {"": 7}
    assert samples["convscope_model_info"] == {'run="first"': 1}


def test_before_there_is_anything() -> None:
    samples = read(Counts().text(queue=0, facts={}))
    assert samples["convscope_batch_images_count"] == {"": 0}
    assert "convscope_model_info" not in samples


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_of_a_run_can_be_a_label(name: str) -> None:
    text = Counts().text(queue=0, facts={"run": name})
    lines = [line for line in text.split("\n") if line.startswith("convscope_model_info")]
    assert len(lines) == 1 and SAMPLE.fullmatch(lines[0])


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_each_value_once(values: list[float]) -> None:
    histogram = Histogram((0.5, 1, 10))
    for value in values:
        histogram.observe(value)
    counts = [int(line.rpartition(" ")[2]) for line in histogram.lines("x") if "bucket" in line]
    assert counts == [sum(value <= edge for value in values) for edge in (0.5, 1, 10, float("inf"))]
