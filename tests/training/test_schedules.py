"""Courses of the learning rate at the steps that matter: 0, in the warm-up, at the peak, at the end."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.training.schedules import START, build_schedule, cosine, one_cycle, step_decay

NAMES = ["constant", "step", "plateau", "exponential", "cosine", "one-cycle"]


def factors(name: str, *, epochs: int = 10, steps_per_epoch: int = 10, **options: float) -> list[float]:
    schedule = build_schedule(name, epochs=epochs, steps_per_epoch=steps_per_epoch, **options)
    return [schedule.factor(step) for step in range(epochs * steps_per_epoch)]


def test_constant() -> None:
    assert set(factors("constant")) == {1.0}


def test_step_decays_every_so_many_epochs() -> None:
    course = factors("step", step_epochs=3, gamma=0.1)
    assert course[0] == course[29] == 1
    assert course[30] == course[59] == pytest.approx(0.1)
    assert course[60] == pytest.approx(0.01)
    assert course[99] == pytest.approx(0.001)


def test_exponential_decays_every_epoch() -> None:
    course = factors("exponential", gamma=0.5)
    assert course[0] == course[9] == 1
    assert course[10] == 0.5
    assert course[-1] == 0.5**9


def test_cosine() -> None:
    course = factors("cosine", epochs=1, steps_per_epoch=101)
    assert course[0] == 1
    assert course[25] == pytest.approx(0.5 + 0.5 * math.sqrt(0.5))
    assert course[50] == pytest.approx(0.5)
    assert course[100] == pytest.approx(0, abs=1e-12)


def test_one_cycle_rises_for_three_tenths_then_falls() -> None:
    course = factors("one-cycle")
    assert course[0] == START
    assert course[15] == pytest.approx((START + 1) / 2)
    assert course[30] == 1 == max(course)
    assert course[-1] == 0
    assert all(low < high for low, high in pairwise(course[:31]))
    assert all(high > low for high, low in pairwise(course[30:]))


def test_one_cycle_takes_the_warmup_as_its_rise() -> None:
    course = factors("one-cycle", warmup_epochs=2)
    assert course[20] == 1 == max(course)
    assert course[10] == pytest.approx((START + 1) / 2)


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_the_end_is_at_the_share_asked_for(name: str) -> None:
    assert factors(name, final=0.2)[-1] == pytest.approx(0.2)
    assert min(factors(name, final=0.2)[30:]) == pytest.approx(0.2)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "one-cycle"])
def test_warmup_rises_in_a_line_and_is_multiplied_onto_the_schedule(name: str) -> None:
    plain, warm = factors(name), factors(name, warmup_epochs=0.9)  # over 9 steps
    ramp = [min(1.0, (step + 1) / 10) for step in range(100)]
    assert ramp[0] == 0.1 and ramp[4] == 0.5 and ramp[9] == 1
    assert warm == pytest.approx([share * factor for share, factor in zip(ramp, plain, strict=True)])


def test_a_training_of_one_step_takes_it_in_full() -> None:
    for name in NAMES:
        assert factors(name, epochs=1, steps_per_epoch=1) == [1.0]


def test_an_unknown_schedule() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'linear'"):
        build_schedule("linear", epochs=1, steps_per_epoch=1)


courses = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "epochs": st.integers(1, 12),
        "steps_per_epoch": st.integers(1, 12),
        "warmup_epochs": st.floats(0, 15),
        "step_epochs": st.integers(1, 12),
        "gamma": st.floats(0, 1, exclude_min=True),
        "final": st.floats(0, 1),
    }
)


@given(courses)
def test_factors_lie_between_0_and_1(course: dict[str, float]) -> None:
    assert all(0 <= factor <= 1 for factor in factors(**course))


@given(courses)
def test_a_factor_depends_on_its_step_alone(course: dict[str, float]) -> None:
    """Whatever was asked before; so a resumed training goes on with the same rates."""
    schedule = build_schedule(**course)
    steps = range(int(course["epochs"] * course["steps_per_epoch"]))
    assert [schedule.factor(step) for step in reversed(steps)] == factors(**course)[::-1]


@given(st.integers(2, 500), st.floats(0, 1))
def test_cosine_falls_without_a_jump(total: int, final: float) -> None:
    course = [cosine(step, total=total, final=final) for step in range(total)]
    assert course[0] == pytest.approx(1)
    assert course[-1] == pytest.approx(final)
    steepest = math.pi / 2 / (total - 1) * (1 - final)
    assert all(-1e-12 <= high - low <= steepest + 1e-12 for high, low in pairwise(course))


@given(st.integers(3, 500), st.floats(0.01, 0.99), st.floats(0, 1))
def test_one_cycle_goes_up_and_down_without_a_jump(total: int, share: float, final: float) -> None:
    rise = max(1, min(round(share * total), total - 2))
    course = [one_cycle(step, total=total, rise=rise, final=final) for step in range(total)]
    assert course[0] == START
    assert course[rise] == 1
    assert course[-1] == pytest.approx(final)
    up, down = (1 - START) / rise, (1 - final) / (total - 1 - rise)
    assert all(low + up == pytest.approx(high) for low, high in pairwise(course[: rise + 1]))
    assert all(high - down == pytest.approx(low) for high, low in pairwise(course[rise:]))


@given(st.integers(0, 10_000), st.integers(1, 100), st.floats(0, 1, exclude_min=True))
def test_step_decay_jumps_where_it_should_and_nowhere_else(step: int, every: int, gamma: float) -> None:
    before, after = (step_decay(step + k, every=every, gamma=gamma) for k in (0, 1))
    assert after == pytest.approx(before * gamma if (step + 1) % every == 0 else before)


# Plateau


def test_plateau_decays_after_more_than_patience_epochs_without_a_better_loss() -> None:
    schedule = build_schedule("plateau", epochs=10, steps_per_epoch=1, gamma=0.1, plateau_patience=1)
    course = []
    for loss in (1.0, 0.9, 0.9, 0.95, 0.91, 0.8, 0.9, 0.9):
        schedule.observe(loss)
        course.append(schedule.factor(5))
    assert course == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


losses = st.lists(st.floats(0, 10), max_size=20)


@given(losses, losses, st.integers(0, 3))
def test_plateau_goes_on_from_a_saved_state(before: list[float], after: list[float], patience: int) -> None:
    def new():
        return build_schedule("plateau", epochs=9, steps_per_epoch=9, plateau_patience=patience, warmup_epochs=0.5)

    whole, first, second = new(), new(), new()
    for loss in before:
        whole.observe(loss)
        first.observe(loss)
    second.load_state_dict(first.state_dict())
    for loss in after:
        whole.observe(loss)
        second.observe(loss)
    assert second.state_dict() == whole.state_dict()
    assert [second.factor(step) for step in range(81)] == [whole.factor(step) for step in range(81)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "plateau"])
def test_the_others_do_not_listen(name: str) -> None:
    schedule = build_schedule(name, epochs=3, steps_per_epoch=3)
    before = [schedule.factor(step) for step in range(9)]
    for _ in range(10):
        schedule.observe(1.0)
    assert [schedule.factor(step) for step in range(9)] == before
    assert schedule.state_dict() == {}
