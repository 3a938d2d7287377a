"""What the last layer sees, and which images are alike by it."""

import pytest
import torch
from torch.nn import functional as F

from convscope.data import Preprocessing
from convscope.errors import UserError
from convscope.interpret.features import features, nearest
from convscope.models import build_model


@pytest.mark.parametrize("name", ["linear", "tinyvgg_bn", "lenet5", "se_resnet18_small"])
def test_the_head_makes_the_logits_of_them(name, fashion_splits):
    options = {"width": 0.25} if name.startswith("se") else {}
    model = build_model(name, seed=0, **options).eval()
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    few = fashion_splits.test.select(torch.arange(20))
    found = features(model, preprocessing, few, batch_size=8)
    assert found.shape == (20, model.num_features)
    with torch.no_grad():
        expected = model(preprocessing(few.take(torch.arange(20))))
        torch.testing.assert_close(model.head(found), expected)


def test_images_can_be_chosen_and_the_mode_stays(fashion_splits):
    model = build_model("tinyvgg_bn", seed=0).train()
    model.block1.eval()
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    told = []
    chosen = features(
        *(model, preprocessing, fashion_splits.test),
        indices=torch.tensor([7, 3, 5]),
        batch_size=2,
        progress=lambda name, done, total: told.append((done, total)),
    )
    every = features(model, preprocessing, fashion_splits.test)
    torch.testing.assert_close(chosen, every[[7, 3, 5]])
    assert told == [(2, 3), (3, 3)]
    assert model.training and model.block2.norm1.training
    assert not model.block1.training and not model.block1.norm1.training
    assert not chosen.requires_grad


def test_the_nearest_are_those_that_point_the_same_way():
    vectors = torch.tensor([[1.0, 0.0], [100.0, 1.0], [0.0, 2.0], [-3.0, 0.0]])
    indices, similarity = nearest(vectors, torch.tensor([0.5, 0.0]), k=10)
    assert indices.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(similarity, F.cosine_similarity(vectors, torch.tensor([[1.0, 0.0]])))
    assert nearest(vectors, torch.tensor([0.0, 1.0]), k=1)[0].tolist() == [2]
    with pytest.raises(UserError, match="at least 1 image"):
        nearest(vectors, vectors[0], k=0)
