"""What the doctor found out about a training that has not begun, in sentences."""

from collections.abc import Iterator
from typing import Any

from convscope.numbers import counted, duration


def sentences(facts: dict[str, Any]) -> Iterator[str]:
    """The facts of a `TrainingReport` that are not about single layers, a sentence or two each."""
    answers, rates, one_batch = facts["answers"], facts["rates"], facts["one_batch"]
    yield (
        f"First loss: {answers['first_loss']:.3g}. Knowing nothing it would be {answers['even_loss']:.3g}; knowing how "
        f"frequent the classes are, {answers['guessing_loss']:.3g}."
    )
    yield f"Learning rate: {_rates_in_words(rates)}"
    losses = one_batch["losses"]
    yield (
        f"One batch: the loss on the same {one_batch['images']} images went from {losses[0]:.3g} to {losses[-1]:.3g} "
        f"in {counted(len(losses), 'step')} at {one_batch['lr']:.2g}."
    )
    yield f"Time: {_time_in_words(facts['time'])}"
    yield f"Memory: {_memory_in_words(facts['memory'])}"


def _rates_in_words(rates: dict[str, Any]) -> str:
    if rates["suggested"] is None:
        return "the network learnt at none of those tried."
    bounds = [
        f"{where} {rates[key]:.1g} it {what}"
        for key, where, what in (("crawls_below", "below", "crawls"), ("fails_above", "above", "fails"))
        if rates[key] is not None
    ]
    tried = ", ".join(
        f"{'no number' if training['end'] is None else format(training['end'], '.3g')} at {training['lr']:.2g}"
        for training in rates["short_trainings"]
    )
    head = ", ".join(bounds) or "neither crawling nor failing was seen in the range test"
    return f"{head}; short trainings came to a loss of {tried}, so {rates['suggested']:.2g} is suggested."


def _time_in_words(time: dict[str, Any]) -> str:
    return (
        f"about {duration(time['seconds'])} for {counted(time['steps'], 'step')} of {time['seconds_a_step']:.3g} s, as "
        "measured here, and the validation."
    )


def _memory_in_words(memory: dict[str, Any]) -> str:
    total = f"about {memory['total'] / 2**20:,.0f} MiB at the peak, on the CPU"
    if memory["available"] is None:
        return f"{total}; how much this machine has cannot be told."
    fits = f"batches of about {memory['largest_batch']:,} images would fit" if memory["largest_batch"] else "none fits"
    return f"{total}, of {memory['available'] / 2**20:,.0f} MiB; {fits} (the largest power of two)."
