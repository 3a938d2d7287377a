"""How several processes divide a set, and a batch."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data import Augmentation, Batches, ImageSet, Preprocessing
from convscope.data.sharing import Share

EVERYTHING = Augmentation(flip=True, shift=1, rotation=10, cutout=2, crop_scale=0.5, jitter=0.3, mixup=0.4, cutmix=1.0)


def shared(count: int, processes: int, **keywords: Any) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
    """The batches of an epoch that each process has, of images that say which they are."""
    pixels = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).clone()
    image_set = ImageSet(pixels, torch.arange(count), tuple(map(str, range(count))))
    preprocessing = Preprocessing(
        size=4, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3, border=0.0, decode_size=4, resize="pad"
    )
    start = keywords.pop("start", 0)
    return [
        list(Batches(image_set, preprocessing, share=Share(index, processes), **keywords).epoch(2, start))
        for index in range(processes)
    ]


@given(size=st.integers(0, 300), count=st.integers(1, 40))
def test_every_place_belongs_to_one_process(size: int, count: int) -> None:
    shares = [range(size)[Share(index, count).of(size)] for index in range(count)]
    assert [place for share in shares for place in share] == list(range(size))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1
    assert lengths[0] == max(lengths)


@settings(max_examples=40)
@given(data=st.data(), count=st.integers(1, 60), processes=st.integers(1, 7), streamed=st.booleans())
def test_together_processes_have_the_batches_of_one(
    data: st.DataObject, count: int, processes: int, streamed: bool
) -> None:
    # R-A1: none twice, none lost, in last batches of any size, also smaller than the number of processes.
    batch_size = data.draw(st.integers(1, count))
    keywords: dict[str, Any] = {"batch_size": batch_size, "shuffle_seed": 5, "streamed": streamed}
    keywords["start"] = data.draw(st.integers(0, -(-count // batch_size)))
    (alone,) = shared(count, 1, **keywords)
    each = shared(count, processes, **keywords)
    assert [len(batches) for batches in each] == [len(alone)] * processes
    for step, (images, labels) in enumerate(alone):
        assert torch.equal(torch.cat([batches[step][0] for batches in each]), images)
        assert torch.equal(torch.cat([batches[step][1] for batches in each]), labels)


@settings(max_examples=20)
@given(data=st.data(), count=st.integers(1, 30), processes=st.integers(2, 5))
def test_augmentation_is_that_of_one_process(data: st.DataObject, count: int, processes: int) -> None:
    # Images made of two have partners that belong to another process.
    batch_size = data.draw(st.integers(1, count))
    keywords: dict[str, Any] = {"batch_size": batch_size, "shuffle_seed": 5, "augmentation": EVERYTHING}
    (alone,) = shared(count, 1, **keywords)
    each = shared(count, processes, **keywords)
    for step, (images, labels) in enumerate(alone):
        torch.testing.assert_close(torch.cat([batches[step][0] for batches in each]), images, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat([batches[step][1] for batches in each]), labels)


@pytest.mark.parametrize("processes", [1, 2, 3, 9])
def test_a_set_to_evaluate_is_divided_into_runs(processes: int) -> None:
    each = shared(7, processes, batch_size=2)
    labels = [[label for _, part in batches for label in part.tolist()] for batches in each]
    assert [label for part in labels for label in part] == list(range(7))
