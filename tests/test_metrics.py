"""The figures of an evaluation, against scikit-learn, published values and slow plain versions of themselves."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest
from sklearn import metrics as oracle

from convscope import metrics
from convscope.errors import ConvscopeError, UserError


@st.composite
def answers(draw, least_classes=2):
    """Logits (N, K) and labels (N,). Logits in halves, so that ties are common."""
    images, num_classes = draw(st.integers(1, 40)), draw(st.integers(least_classes, 6))
    logits = draw(arrays.arrays(np.int64, (images, num_classes), elements=st.integers(-12, 12))) / 2
    labels = draw(arrays.arrays(np.int64, (images,), elements=st.integers(0, num_classes - 1)))
    return logits, labels


def names(logits):
    return [f"class {index}" for index in range(logits.shape[1])]


@given(answers())
def test_accuracy_confusion_and_class_scores_agree_with_scikit_learn(data):  # R-A8
    logits, labels = data
    report = metrics.classification_report(logits, labels, names(logits))
    predictions, every_class = logits.argmax(axis=1), np.arange(logits.shape[1])

    assert report["images"] == len(labels)
    assert report["top1"] == oracle.accuracy_score(labels, predictions)
    assert report["confusion"] == oracle.confusion_matrix(labels, predictions, labels=every_class).tolist()
    expected = oracle.precision_recall_fscore_support(labels, predictions, labels=every_class, zero_division=0)
    for key, values in zip(("precision", "recall", "f1", "images"), expected, strict=True):
        assert [row[key] for row in report["per_class"]] == pytest.approx(values.tolist())
    macro_f1 = oracle.f1_score(labels, predictions, average="macro", zero_division=0)
    assert report["macro_f1"] == pytest.approx(macro_f1)


@given(answers())
def test_loss_agrees_with_scikit_learn(data):  # R-A3
    logits, labels = data
    probabilities = np.exp(metrics.log_softmax(logits))
    expected = oracle.log_loss(labels, probabilities, labels=np.arange(logits.shape[1]))
    assert metrics.cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(answers(least_classes=3), st.integers(1, 2))
def test_top_k_agrees_with_scikit_learn_where_nothing_is_tied(data, k):
    logits, labels = data
    # A different tiny amount for each class unties them without changing any other order.
    logits = logits - np.arange(logits.shape[1]) * 1e-6
    report = metrics.classification_report(logits, labels, names(logits), top_k=k)
    expected = oracle.top_k_accuracy_score(labels, logits, k=k, labels=np.arange(logits.shape[1]))
    assert report["k"] == k
    assert report["top_k"] == pytest.approx(expected)


@given(answers())
def test_rank_is_the_place_in_a_stable_sort(data):
    logits, labels = data
    for row, label, rank in zip(logits.tolist(), labels.tolist(), metrics.ranks(logits, labels), strict=True):
        order = sorted(range(len(row)), key=lambda index: -row[index])  # Python's sort keeps ties in order
        assert order.index(label) == rank


def test_a_network_that_answers_all_zeros_scores_chance_not_everything():
    labels = np.repeat(np.arange(10), 7)
    report = metrics.classification_report(np.zeros((70, 10)), labels, [str(digit) for digit in range(10)])
    assert report["top1"] == pytest.approx(0.1)
    assert (report["top_k"], report["k"]) == (0.5, 5)
    assert report["loss"] == pytest.approx(math.log(10))


def test_k_is_at_most_the_number_of_classes():
    report = metrics.classification_report([[0.0, 1.0]], [0], ["cat", "dog"])
    assert (report["k"], report["top_k"], report["top1"]) == (2, 1.0, 0.0)


def test_loss_is_exact_where_exponentials_overflow():
    logits = np.array([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]])
    assert metrics.cross_entropy(logits, np.array([1, 1])) == pytest.approx(5e3)


@given(answers(), st.floats(-1e3, 1e3))
def test_loss_does_not_move_with_the_logits(data, offset):
    logits, labels = data
    assert metrics.cross_entropy(logits + offset, labels) == pytest.approx(
        metrics.cross_entropy(logits, labels), abs=1e-9
    )


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [
        # Newcombe 1998, table I (Statistics in Medicine 17:857-872), method 3, to its four decimals.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_has_the_published_values(correct, images, low, high):  # R-B6
    assert metrics.wilson_interval(correct, images) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda images: st.tuples(st.integers(0, images), st.just(images))))
def test_wilson_interval_solves_its_defining_equation(counts):
    correct, images = counts
    share = correct / images
    low, high = metrics.wilson_interval(correct, images)
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        # The bounds are the p for which the observed share is just 1.96 deviations away.
        deviations = metrics.NORMAL_95 * math.sqrt(bound * (1 - bound) / images)
        assert abs(share - bound) == pytest.approx(deviations, abs=1e-6)


@given(answers())
@settings(max_examples=50)
def test_calibration_error_agrees_with_a_plain_loop_over_bins(data):
    logits, labels = data
    confidences = np.exp(metrics.log_softmax(logits)).max(axis=1)
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        members = [index for index, value in enumerate(confidences) if low < value <= high]
        if members:
            accuracy = sum(logits[index].argmax() == labels[index] for index in members) / len(members)
            confidence = sum(confidences[index] for index in members) / len(members)
            expected += abs(accuracy - confidence) * len(members) / len(labels)
    assert metrics.calibration_error(logits, labels) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_a_boaster_and_of_a_modest_network():
    sure = np.array([[0.0, 50.0]] * 4)
    assert metrics.calibration_error(sure, np.array([1, 0, 0, 0])) == pytest.approx(0.75)
    unsure = np.zeros((4, 2))
    assert metrics.calibration_error(unsure, np.array([1, 1, 0, 0])) == 0


def test_most_confused_pairs_come_with_names_counts_and_shares():  # R-A8
    confusion = np.array([[5, 3, 0], [1, 8, 1], [0, 4, 16]])
    assert metrics.most_confused(confusion, ["coat", "shirt", "bag"], limit=3) == [
        {"true": "bag", "predicted": "shirt", "count": 4, "share": 0.2},
        {"true": "coat", "predicted": "shirt", "count": 3, "share": 0.375},
        {"true": "shirt", "predicted": "coat", "count": 1, "share": 0.1},
    ]


def test_a_network_without_errors_has_no_confused_pairs():
    assert metrics.most_confused(np.diag([3, 0, 4]), ["a", "b", "c"]) == []


def test_classes_absent_or_never_predicted_score_zero_without_a_warning():
    # "b" occurs but is never predicted; "c" neither occurs nor is predicted.
    report = metrics.classification_report([[2.0, 1.0, 0.0]] * 4, [0, 0, 0, 1], ["a", "b", "c"])
    assert report["per_class"][1] == {"name": "b", "precision": 0, "recall": 0, "f1": 0, "images": 1}
    assert report["per_class"][2] == {"name": "c", "precision": 0, "recall": 0, "f1": 0, "images": 0}
    # 2 * 3 / (4 + 3) for "a", 0 for "b"; "c" has no say.
    assert report["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)


@given(answers())
@settings(max_examples=20)
def test_a_report_survives_json(data):
    logits, labels = data
    report = metrics.classification_report(logits.astype(np.float32), labels, names(logits))
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize(
    ("logits", "labels", "classes", "words"),
    [
        (np.zeros((0, 2)), [], ["a", "b"], "no images"),
        (np.zeros((3, 2)), [0, 1], ["a", "b"], r"\(3, 2\)"),
        (np.zeros((2, 3)), [0, 1], ["a", "b"], "2 classes"),
        (np.zeros(2), [0, 1], ["a", "b"], r"\(2,\)"),
        (np.zeros((2, 2)), [0, 2], ["a", "b"], "0 to 2"),
        (np.zeros((2, 2)), [-1, 0], ["a", "b"], "-1 to 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(logits, labels, classes, words):
    with pytest.raises(UserError, match=words):
        metrics.classification_report(logits, labels, classes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_outputs_of_a_diverged_network_are_refused(value):
    with pytest.raises(ConvscopeError, match="diverged"):
        metrics.classification_report([[0.0, value]], [0], ["a", "b"])


@given(answers())
@settings(max_examples=50)
def test_calibration_bins_hold_every_image_once(data):
    logits, labels = data
    bins = metrics.calibration_bins(logits, labels)
    assert sum(row.images for row in bins) == len(labels)
    assert [row.high for row in bins[:-1]] == [row.low for row in bins[1:]]
    for row in bins:
        assert (row.low - 1e-12 <= row.confidence <= row.high + 1e-12) if row.images else row.confidence == 0
    assert sum(row.images * row.accuracy for row in bins) == pytest.approx((logits.argmax(axis=1) == labels).sum())


def judged(first_only, second_only, both=3):
    """Whether two networks are right, with so many images that one alone or both have right."""
    first = np.repeat([True, False, True], [first_only, second_only, both])
    second = np.repeat([False, True, True], [first_only, second_only, both])
    return first, second


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_binomial_test_of_the_images_on_which_networks_differ(first_only, second_only):
    expected = binomtest(first_only, first_only + second_only).pvalue if first_only + second_only else 1.0
    *counts, p = metrics.mcnemar(*judged(first_only, second_only))
    assert counts == [first_only, second_only]
    assert p == pytest.approx(expected, rel=1e-9)


def test_mcnemar_has_no_trouble_with_large_counts():
    assert metrics.mcnemar(*judged(9_800, 10_200))[2] == pytest.approx(binomtest(9_800, 20_000).pvalue, rel=1e-9)
    assert metrics.mcnemar(*judged(0, 50_000))[2] == 0.0


def test_holm_keeps_the_order_and_stays_below_one():
    # Of three tests the smallest p counts three times, the next twice, and none less than the one before it.
    assert metrics.holm([0.04, 0.01, 0.015]) == pytest.approx([0.04, 0.03, 0.03])
    assert metrics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert metrics.holm([]) == []
