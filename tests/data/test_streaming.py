import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data import Augmentation, Batches, ImageSet, Preprocessing
from convscope.data.streaming import block_order, read_ahead

counts, sizes = st.integers(1, 300), st.integers(1, 64)


@given(count=counts, block=sizes, group=sizes, seed=st.integers(0, 2**63))
def test_a_block_order_has_every_image_once(count: int, block: int, group: int, seed: int) -> None:  # R-B3
    order = block_order(count, block=block, group=group, generator=torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(count))


@given(count=counts, block=sizes, group=sizes, seed=st.integers(0, 2**63))
def test_a_group_visits_few_blocks(count: int, block: int, group: int, seed: int) -> None:
    order = block_order(count, block=block, group=group, generator=torch.Generator().manual_seed(seed))
    for part in order.split(group):
        # One block may begin before the group, one end after it, and the file's last block is shorter.
        assert len({index // block for index in part.tolist()}) <= group // block + 3


def test_a_block_order_shuffles_blocks_groups_and_images() -> None:
    order = block_order(4000, block=10, group=500, generator=torch.Generator().manual_seed(0))
    first = order[:500].tolist()
    assert first != sorted(first)
    assert max(first) - min(first) > 3000  # from all over the file
    other = block_order(4000, block=10, group=500, generator=torch.Generator().manual_seed(1))
    assert set(other[:500].tolist()) != set(first)


def mapped(folder: Path, count: int) -> ImageSet:
    """A file of images 3x4x4, mapped into memory, whose pixels count up from image to image."""
    path = folder / "pixels"
    path.write_bytes(bytes((index * 48 + place) % 251 for index in range(count) for place in range(48)))
    images = torch.from_file(str(path), shared=False, size=count * 48, dtype=torch.uint8).view(count, 3, 4, 4)
    return ImageSet(images, torch.arange(count), tuple(map(str, range(count))))


@settings(max_examples=30, deadline=None)
@given(data=st.data(), block=st.integers(1, 40), group=st.integers(1, 9), batch_size=st.integers(1, 20))
def test_what_is_read_ahead_is_what_was_asked_for(
    data: st.DataObject, block: int, group: int, batch_size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = mapped(tmp_path_factory.mktemp("streamed"), 60)
    chosen = whole.select(torch.tensor(data.draw(st.lists(st.integers(0, 59), min_size=1, max_size=80))))
    batches = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0)).split(batch_size)
    found = list(read_ahead(chosen, batches, block=block, group=group))
    assert len(found) == len(batches)
    for pixels, batch in zip(found, batches, strict=True):
        assert torch.equal(pixels, chosen.take(batch))


def test_evaluation_reads_too(tmp_path: Path) -> None:
    with torch.inference_mode():
        assert len(list(read_ahead(mapped(tmp_path, 60), torch.arange(60).split(5), block=2, group=3))) == 12


def test_nothing_to_read(tmp_path: Path) -> None:
    assert list(read_ahead(mapped(tmp_path, 3), [], block=2, group=2)) == []


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_a_reader_that_goes_away_leaves_no_thread(tmp_path: Path) -> None:
    batches: Iterator[torch.Tensor] = read_ahead(mapped(tmp_path, 60), torch.arange(60).split(5), block=2, group=3)
    next(batches)
    assert reading_threads()
    batches.close()  # type: ignore[attr-defined]
    assert not reading_threads()


def test_an_error_of_a_thread_reaches_the_reader(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        list(read_ahead(mapped(tmp_path, 10), [torch.tensor([3, 10])], block=2, group=2))


def batches_of(image_set: ImageSet, **options: object) -> Batches:
    preprocessing = Preprocessing(
        size=4, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3, border=0.0, decode_size=4, resize="crop"
    )
    return Batches(image_set, preprocessing, batch_size=7, **options)  # type: ignore[arg-type]


def test_streamed_batches_evaluate_as_resident_ones_do(tmp_path: Path) -> None:
    image_set = mapped(tmp_path, 60).select(torch.arange(59, 0, -2))
    for (images, labels), (streamed, streamed_labels) in zip(
        batches_of(image_set).epoch(0), batches_of(image_set, streamed=True).epoch(0), strict=True
    ):
        assert torch.equal(images, streamed)
        assert torch.equal(labels, streamed_labels)


def test_a_streamed_epoch_resumed_at_any_step_has_the_same_bits(  # R-F6
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.data.batches.BLOCK_BYTES", 48 * 3)
    monkeypatch.setattr("convscope.data.batches.GROUP_BYTES", 48 * 21)
    options = {"shuffle_seed": 5, "augmentation": Augmentation(flip=True, shift=1), "streamed": True}
    whole = list(batches_of(mapped(tmp_path, 60), **options).epoch(3))
    assert sorted(torch.cat([labels for _, labels in whole]).tolist()) == list(range(60))
    for start in range(len(whole) + 1):
        rest = list(batches_of(mapped(tmp_path, 60), **options).epoch(3, start=start))
        assert len(rest) == len(whole) - start
        for (images, labels), (again, labels_again) in zip(whole[start:], rest, strict=True):
            assert torch.equal(images, again)
            assert torch.equal(labels, labels_again)
