"""PyTorch as an engine, in both of its arithmetics."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from convscope.data import Splits
from convscope.engines.agreement import Agreement
from convscope.engines.eager import EagerBFloat16, EagerFloat32
from convscope.predict import Predictor
from convscope.runs import Run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def predictor(make_run: Callable[..., Run]) -> Predictor:
    return Predictor.from_run(make_run("tinyvgg_bn", hidden=16), device="cpu")


@pytest.fixture(scope="module")
def images(fashion_splits: Splits) -> Tensor:
    return fashion_splits.val.take(torch.arange(40))


def test_float32_is_the_network_itself(predictor: Predictor, images: Tensor) -> None:
    with torch.inference_mode():
        expected = predictor.model(predictor.preprocessing(images))
    logits = EagerFloat32(predictor.model, predictor.preprocessing, CPU)(images)
    assert torch.equal(logits, expected)
    assert logits.dtype == torch.float32


def test_bfloat16_agrees_and_leaves_the_network_as_it_is(predictor: Predictor, images: Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in predictor.model.state_dict().items()}
    logits = EagerBFloat16(predictor.model, predictor.preprocessing, CPU)(images)
    expected = EagerFloat32(predictor.model, predictor.preprocessing, CPU)(images)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, expected)
    assert Agreement.of(logits, expected).largest_difference < 0.02
    after = predictor.model.state_dict()
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items()
    )


@pytest.mark.parametrize("kind", [EagerFloat32, EagerBFloat16])
def test_threads_do_not_disturb_one_another(
    kind: type[EagerFloat32] | type[EagerBFloat16], predictor: Predictor, images: Tensor
) -> None:
    engine = kind(predictor.model, predictor.preprocessing, CPU)
    parts = images.split(5)
    alone = [engine(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine, parts))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(other, one)
