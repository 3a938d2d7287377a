"""Alarms about the size of the steps: the learning rate, the gradients, and what weight decay takes away."""

import math

from convscope.doctor.watch.alarms import Alarm, Evidence, median

FACTOR = 10.0
"""By how much a rate is changed at a time; which rates are right is known no better without trying several."""
ABOVE = 1.5
"""The loss against that of guessing, and against the first: worse than knowing nothing by so much, it climbs."""
GROWN = 4.0
"""Growth of all weights together that only steps far too large bring about; otherwise they grow by a tenth."""
LEARNT = 0.4
"""Share of the loss of guessing below which a network has learnt much, however it may look inside."""
SPIKE = 100.0
"""A gradient so many times as long as the median of those around it; tenfold is common."""
HUGE = 5.0
"""First losses, in losses of guessing, that are no matter of the rate: no step has been taken yet."""
CRAWLING = 2e-4
"""Share of the weights by which a step moves them; about 1e-3 is usual (and a hundredth of it leads nowhere)."""
GRADIENT = 1e-3
"""Norm of a gradient against that of its weights, below which it is the gradient that is small, not the rate."""
LITTLE, PATIENCE = 0.6, 200
"""Share of the loss of guessing that is left, after so many steps, of a network that hardly learns."""
SHRUNK = 0.5
"""Norm of all weights against that at the start, below which they are on their way to nothing."""


def exploding_gradients(evidence: Evidence) -> Alarm | None:
    """A loss or gradient out of all proportion before any step was taken, or after the network had learnt."""
    config = evidence.config
    remedy = "limit the gradient, --clip-norm 1"
    first_steps = evidence.steps <= 3
    if first_steps and not evidence.first_loss < HUGE * evidence.guessing:
        return evidence.alarm(
            "exploding gradients",
            f"the first loss is {evidence.first_loss:.3g}, where guessing has {evidence.guessing:.3f}, and the "
            f"gradient's norm {evidence.grad_norms[0]:.3g}: the weights at the start make the answers far too large",
            f"start from smaller weights; or {remedy}, with a warm-up, --warmup-epochs 1",
        )
    # In float16 a step whose gradient is infinite is left out, and nothing is wrong.
    finite = [norm for norm in evidence.grad_norms if math.isfinite(norm)]
    usual, highest = median(finite), max(finite, default=0.0)
    broken = not math.isfinite(evidence.losses[-1])
    learnt = evidence.best_loss < LITTLE * evidence.guessing
    jumped = highest > SPIKE * usual and evidence.losses[-1] > 2 * evidence.best_loss
    if learnt and (broken or jumped):
        reached = "no longer a number" if broken else f"{highest:.3g}"
        return evidence.alarm(
            "exploding gradients",
            f"the gradient's norm, {usual:.3g} in most of the last {len(evidence.grad_norms)} steps, jumped: it is "
            f"{reached}, and the loss went from {evidence.best_loss:.3f} to {evidence.losses[-1]:.3g}",
            f"{remedy}; or a smaller learning rate, --lr {config.lr / FACTOR:g}",
        )
    return None


def rate_too_high(evidence: Evidence) -> Alarm | None:
    """Steps that make the network worse than one that guesses, or weights that outgrow all bounds."""
    lr = evidence.config.lr
    remedy = f"a smaller learning rate, --lr {lr / FACTOR:g}, and if that is not enough one ten times smaller still"
    last = evidence.losses[-1]
    if not math.isfinite(last):
        what = (
            f"after {evidence.steps} steps the loss is no longer a number; it began with {evidence.first_loss:.3f}, "
            f"and the gradient's norm with {evidence.grad_norms[0]:.3g}"
        )
    elif evidence.full and evidence.loss > ABOVE * max(evidence.guessing, evidence.first_loss):
        what = (
            f"the loss swings between {min(evidence.losses):.3g} and {max(evidence.losses):.3g}, worse than that of "
            f"guessing, {evidence.guessing:.3f}: each step undoes what others have learnt"
        )
    elif (
        evidence.full
        and len(evidence.now.weights) > 1  # a single layer starts as small as one likes, and grows at any rate
        and evidence.growth > GROWN
        and evidence.loss > LEARNT * evidence.guessing
    ):
        what = (
            f"within {evidence.steps} steps the weights grew to {evidence.growth:.1f} times their size, and the loss "
            f"is still {evidence.loss:.3f}: steps are so large that they overwrite what the network starts with"
        )
    else:
        return None
    return evidence.alarm("learning rate too high", f"{what} (learning rate {evidence.now.lr:.2g})", f"try {remedy}")


def weight_decay_too_strong(evidence: Evidence) -> Alarm | None:
    """Weights that shrink because their decay is stronger than what the images teach."""
    config, now = evidence.config, evidence.now
    shrunk = evidence.growth < SHRUNK
    if not (config.weight_decay and evidence.full and shrunk and evidence.loss > 0.5 * evidence.guessing):
        return None
    # sgd's momentum adds up decay that always points the same way: a step takes 1 / (1 - momentum) times as much.
    lasting = 1 / (1 - config.momentum) if config.optimizer == "sgd" else 1.0
    decay = now.lr * config.weight_decay * lasting
    if config.optimizer == "adam":  # which scales decay and gradient alike
        stronger = config.weight_decay * now.norm > now.gradient
    else:
        stronger = decay > median([w.moved for w in now.weights]) / 2
    if not stronger:
        return None
    return evidence.alarm(
        "weight decay too strong",
        f"the weights have shrunk to {evidence.growth:.0%} of their size: decay takes away {decay:.1%} of them a step, "
        f"as much as all that the images teach, and the loss is still {evidence.loss:.3f}",
        f"try a weaker decay, --weight-decay {config.weight_decay / 100:g}, or none",
    )


def rate_too_low(evidence: Evidence) -> Alarm | None:
    """Steps so short that the loss hardly moves, though there are gradients to follow."""
    config, weights = evidence.config, evidence.now.weights
    at_peak = evidence.now.lr >= config.lr / 2
    if not (evidence.full and at_peak) or config.pretrained:  # what is pretrained is meant to change little
        return None
    moved, pull = median([w.moved for w in weights]), median([w.gradient / w.norm for w in weights if w.norm])
    late = evidence.steps >= PATIENCE and evidence.loss > LITTLE * evidence.guessing
    if moved > CRAWLING or pull < GRADIENT or not (evidence.lost or late):
        return None
    return evidence.alarm(
        "learning rate too low",
        f"a step changes the weights of most layers by less than {moved:.1g} of their size, where 0.001 is usual, and "
        f"after {evidence.steps} steps the loss is {evidence.loss:.3f}; it began with {evidence.first_loss:.3f}",
        f"try a larger learning rate, --lr {config.lr * 100:g}; `convscope doctor training` finds one",
    )
