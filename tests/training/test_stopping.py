"""Early stopping watches and answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.training.stopping import EarlyStopping


def test_it_stops_after_so_many_epochs_without_a_better_loss() -> None:
    # R-A6
    stopping = EarlyStopping(patience=2)
    answers = []
    for epoch, loss in enumerate([1.0, 0.8, 0.9, 0.7, 0.7, 0.8], start=1):
        answers.append((stopping.observe(epoch, loss), stopping.should_stop))
    assert answers == [(True, False), (True, False), (False, False), (True, False), (False, False), (False, True)]
    assert (stopping.best_epoch, stopping.best_loss) == (4, 0.7)


def test_equal_is_not_better() -> None:
    stopping = EarlyStopping(patience=1)
    assert stopping.observe(1, 0.5)
    assert not stopping.observe(2, 0.5)
    assert stopping.should_stop


def test_without_patience_it_never_stops_but_knows_the_best() -> None:
    stopping = EarlyStopping()
    for epoch in range(1, 100):
        stopping.observe(epoch, float(epoch))
        assert not stopping.should_stop
    assert stopping.best_epoch == 1


@given(st.lists(st.floats(0, 10), min_size=1), st.integers(1, 5))
def test_the_best_is_the_first_lowest(losses: list[float], patience: int) -> None:
    stopping = EarlyStopping(patience)
    improved = [stopping.observe(epoch, loss) for epoch, loss in enumerate(losses, start=1)]
    assert stopping.best_loss == min(losses)
    assert stopping.best_epoch == losses.index(min(losses)) + 1
    assert improved == [all(loss < earlier for earlier in losses[:index]) for index, loss in enumerate(losses)]
    assert stopping.should_stop == (len(losses) - stopping.best_epoch >= patience)


@given(st.lists(st.floats(0, 10)), st.lists(st.floats(0, 10)))
def test_it_goes_on_from_a_saved_state(before: list[float], after: list[float]) -> None:
    whole, first, second = EarlyStopping(3), EarlyStopping(3), EarlyStopping(3)
    for epoch, loss in enumerate(before):
        whole.observe(epoch, loss)
        first.observe(epoch, loss)
    second.load_state_dict(first.state_dict())
    for epoch, loss in enumerate(after, start=len(before)):
        assert whole.observe(epoch, loss) == second.observe(epoch, loss)
    assert second == whole


@pytest.mark.parametrize("patience", [None, 7])
def test_patience_is_the_settings_not_the_states(patience: int | None) -> None:
    stopping = EarlyStopping(patience)
    stopping.load_state_dict(EarlyStopping(3, best_loss=0.5, best_epoch=2, waited=3).state_dict())
    assert stopping == EarlyStopping(patience, best_loss=0.5, best_epoch=2, waited=3)
