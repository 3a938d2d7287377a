import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data.imageset import ImageSet
from convscope.data.splits import stratified_split
from convscope.errors import UserError


def blank(count: int) -> torch.Tensor:
    return torch.zeros(count, 1, 2, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (blank(2).float(), torch.tensor([0, 1]), "images are float32"),
        (blank(2)[:, 0], torch.tensor([0, 1]), r"of shape \(2, 2, 2\)"),
        (blank(2), torch.tensor([0, 1], dtype=torch.int32), "labels are int32"),
        (blank(2), torch.tensor([[0], [1]]), r"of shape \(2, 1\)"),
        (blank(2), torch.tensor([0, 1, 1]), "2 images but 3 labels"),
        (blank(0), torch.tensor([], dtype=torch.int64), "no images"),
        (blank(2), torch.tensor([0, 2]), "labels run from 0 to 2"),
        (blank(2), torch.tensor([-1, 0]), "labels run from -1 to 0"),
    ],
)
def test_an_image_set_checks_itself(images: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ImageSet(images, labels, ("cat", "dog"))


def numbered(count: int) -> ImageSet:
    """Images whose pixel is their label."""
    images = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return ImageSet(images, torch.arange(count), tuple(map(str, range(count))))


def test_select_takes_images_and_labels_together_and_copies_none() -> None:
    whole = numbered(5)
    chosen = whole.select(torch.tensor([3, 0, 3]))
    assert len(chosen) == 3
    assert chosen.take(torch.arange(3)).flatten().tolist() == chosen.labels.tolist() == [3, 0, 3]
    assert chosen.classes == whole.classes
    assert chosen.images is whole.images
    assert chosen.shape == (1, 1, 1)


@given(data=st.data(), count=st.integers(1, 40), size=st.integers(1, 50))
def test_a_choice_of_a_choice_comes_in_pieces(data: st.DataObject, count: int, size: int) -> None:
    places = st.lists(st.integers(0, count - 1), min_size=1, max_size=30)
    first = data.draw(places)
    second = data.draw(st.lists(st.integers(0, len(first) - 1), min_size=1, max_size=30))
    chosen = numbered(count).select(torch.tensor(first)).select(torch.tensor(second))
    pieces = list(chosen.pieces(size))
    assert all(len(piece) == size for piece in pieces[:-1])
    assert torch.cat(pieces).flatten().tolist() == [first[index] for index in second] == chosen.labels.tolist()
    assert torch.cat(list(numbered(count).pieces(size))).flatten().tolist() == list(range(count))


labels_of_few_classes = st.lists(st.integers(0, 4), min_size=4, max_size=300)


@settings(max_examples=60)
@given(labels=labels_of_few_classes, share=st.floats(0.05, 0.95), seed=st.integers(0, 2**63))
def test_a_split_is_stratified_and_loses_nothing(labels: list[int], share: float, seed: int) -> None:  # R-C7
    total = round(len(labels) * share)
    if total in (0, len(labels)):
        with pytest.raises(UserError, match="leaves nothing"):
            stratified_split(torch.tensor(labels), share=share, seed=seed)
        return
    kept, held = stratified_split(torch.tensor(labels), share=share, seed=seed)
    assert sorted(kept.tolist() + held.tolist()) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept.tolist())
    assert held.tolist() == sorted(held.tolist())
    assert len(held) == total
    for label in set(labels):
        of_class = sum(labels[index] == label for index in held.tolist())
        assert abs(of_class - share * labels.count(label)) < 1


@settings(max_examples=20)
@given(seed=st.integers(0, 2**63))
def test_a_split_depends_on_its_seed_alone(seed: int) -> None:
    labels = torch.arange(200) % 10
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _, first = stratified_split(labels, share=0.1, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    _, again = stratified_split(labels, share=0.1, seed=seed)
    _, other = stratified_split(labels, share=0.1, seed=seed + 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_split_is_drawn_at_random_within_a_class() -> None:
    _, held = stratified_split(torch.zeros(1000, dtype=torch.int64), share=0.5, seed=0)
    # 500 of the numbers 0 to 999: their mean is 499.5 with a standard deviation of 9.1.
    assert 450 < held.double().mean() < 550
    assert len(set((held % 2).tolist())) == 2


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        stratified_split(torch.zeros(10, dtype=torch.int64), share=share, seed=0)
