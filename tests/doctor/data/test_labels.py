"""Wrong labels by what a network is confident of."""

import torch
from sklearn.datasets import make_blobs

from convscope.doctor.data.labels import find_suspects, only_guesses


def logits_of(probabilities):
    return torch.tensor(probabilities).log()


def test_a_confident_disagreement_is_suspicious():  # R-F2
    probabilities = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]]
    (suspect,) = find_suspects(logits_of(probabilities), torch.tensor([0, 0, 1, 1, 0]))
    assert (suspect.index, suspect.predicted) == (4, 1)
    assert abs(suspect.confidence - 0.95) < 1e-6 and abs(suspect.given - 0.05) < 1e-6


def test_a_mild_disagreement_is_not():
    """It prefers class 1 for the last image, but less than it usually does for that class."""
    probabilities = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]
    assert find_suspects(logits_of(probabilities), torch.tensor([0, 0, 1, 1, 0])) == []


def test_a_network_that_is_too_sure_of_a_class_is_allowed_for():
    """It gives class 0 half of every probability; above that only counts what is above its average."""
    probabilities = [[0.6, 0.4], [0.7, 0.3], [0.52, 0.48], [0.51, 0.49], [0.62, 0.38]]
    assert find_suspects(logits_of(probabilities), torch.tensor([0, 0, 1, 1, 1])) == []


def test_the_worst_comes_first():
    probabilities = [[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6 + [[0.08, 0.92], [0.02, 0.98], [0.95, 0.05]]
    labels = torch.tensor([0] * 6 + [1] * 6 + [0, 0, 1])
    assert [suspect.index for suspect in find_suspects(logits_of(probabilities), labels)] == [13, 14, 12]


def test_a_class_without_images_has_no_confidence():
    probabilities = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    assert find_suspects(logits_of(probabilities), torch.tensor([0, 1, 0])) == []


def test_planted_errors_among_clusters():
    points, truth = make_blobs(600, centers=[[0, 0], [6, 0], [0, 6]], cluster_std=1.0, random_state=0)
    centres = torch.tensor([[0.0, 0], [6, 0], [0, 6]])
    logits = -(torch.cdist(torch.tensor(points, dtype=torch.float32), centres) ** 2) / 2
    labels = torch.tensor(truth)
    wrong = torch.arange(0, 600, 20)
    labels[wrong] = (labels[wrong] + 1) % 3
    found = {suspect.index for suspect in find_suspects(logits, labels)}
    assert len(found & set(wrong.tolist())) >= 29  # of 30
    assert len(found - set(wrong.tolist())) <= 3


def test_who_only_guesses_may_not_judge():
    labels = torch.tensor([0] * 60 + [1] * 40)
    always_the_first = torch.tensor([[1.0, 0.0]]).repeat(100, 1)
    assert only_guesses(always_the_first, labels)
    right = torch.nn.functional.one_hot(labels, 2).float()
    assert not only_guesses(right, labels)
    # 65 right of 100, where 60 come of themselves, may be luck; 75 may not.
    assert only_guesses(torch.cat([right[:65], 1 - right[65:]]), labels)
    assert not only_guesses(torch.cat([right[:75], 1 - right[75:]]), labels)
