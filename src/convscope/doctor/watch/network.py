"""Alarms about the network and what is put into it: faults that are there from the first step, whatever the rates."""

import math

from convscope.doctor.watch.alarms import NEAR, Alarm, Evidence, listed

FAR_MEAN, FAR_STD = 5.0, 5.0
"""Mean and deviation of the inputs beyond which no common scaling goes: pixels from 0 to 255 have 70 and 90."""
OFF_MEAN, LOW_STD, HIGH_STD = 1.0, 0.5, 2.0
"""Where pixels were to be standardised by their own statistics. Cutout, shift and mixup change a batch by less."""
FEW = 16
"""Images at a time below which one dark photo more or less changes mean and deviation."""
SUM = 0.02
"""Probabilities in bfloat16, rounded one by one, add up to 1 as exactly as this."""
ALIVE = 0.005
"""A layer of which no larger share of channels ever answers lets nothing through."""


def softmax_before_loss(evidence: Evidence) -> Alarm | None:
    """Answers that are probabilities; the loss makes probabilities of them once more."""
    passed = evidence.now.passed
    if not (passed.least >= 0 and passed.odd_sum < SUM and evidence.before.passed.odd_sum < SUM):
        return None
    return evidence.alarm(
        "softmax before the loss",
        f"the network's answers are never below {passed.least:.3f}, and those to an image add up to 1: they are "
        f"probabilities, of which the loss takes the softmax again, so that it cannot fall far",
        "let the network answer with logits: remove the softmax from its end",
    )


def evaluation_in_training_mode(evidence: Evidence) -> Alarm | None:
    """Dropout that drops, or norms that take the statistics of the batch, while the network is evaluated."""
    layers = evidence.evaluated_in_training
    if not layers:
        return None
    return evidence.alarm(
        "evaluation in training mode",
        f"while the network was evaluated, {listed(layers)} stayed in training mode: validation figures depend on what "
        f"else is in the batch or on chance, and its images have changed the norms' statistics",
        "call the network's eval() before it is evaluated, and see that its train(False) reaches every layer",
    )


def zeroed_layer(evidence: Evidence) -> Alarm | None:
    """Weights that are all zero, and that no gradient will ever change."""
    layers = [w.layer for w in evidence.now.weights if w.norm == 0 and w.gradient == 0]
    if not layers:
        return None
    return evidence.alarm(
        "zeroed layer",
        f"all weights of {listed(layers)} are zero, and so is their gradient: every image gives the same there, and "
        f"the layer stays as it is",
        "draw its weights at random, or start from other weights than those that were loaded",
    )


def cut_off(evidence: Evidence) -> Alarm | None:
    """Layers that get no gradient though the setting freezes nothing there."""
    layers = evidence.now.cut_off
    if not layers or layers != evidence.before.cut_off:
        return None
    return evidence.alarm(
        "no gradient",
        f"{listed(layers)}: no gradient reaches {'it' if len(layers) == 1 else 'them'}, though the setting freezes "
        f"nothing there: the weights stay as they were drawn",
        "let them learn: set requires_grad of their parameters, and look for a detach() or no_grad() behind them",
    )


def wrong_scaling(evidence: Evidence) -> Alarm | None:
    """Inputs whose mean and deviation are far from what the setting promises."""
    mean, std = evidence.now.passed.pixel_mean, evidence.now.passed.pixel_std
    far = abs(mean) > FAR_MEAN or std > FAR_STD
    config = evidence.config
    by_own = config.scaling == "standardise" and config.pretrained is None
    enough = min(config.batch_size, config.micro_batch or config.batch_size) >= FEW
    off = (
        by_own
        and enough
        and all(
            abs(m.passed.pixel_mean) > OFF_MEAN or not LOW_STD <= m.passed.pixel_std <= HIGH_STD
            for m in (evidence.start, evidence.before, evidence.now)
            if not math.isnan(m.passed.pixel_std)  # as where the images did not go through the network
        )
    )
    if not far and not (off and not math.isnan(std) and evidence.now is not evidence.start):
        return None
    meant = "about 0 and 1" if by_own else "near 0 and below 5"
    return evidence.alarm(
        "images not normalised",
        f"the images reach the network with mean {mean:.3g} and deviation {std:.3g}, where {meant} were meant: steps "
        f"that suit such inputs suit no other layer",
        "divide the images by 255 and standardise them by the training images' mean and deviation, as the setting "
        "`--scaling standardise` does; `convscope doctor data` checks these",
    )


def dead_relus(evidence: Evidence) -> Alarm | None:
    """A layer of ReLUs that is zero for all images: neither answers nor gradients get past it."""
    dead = [
        name
        for name, share in evidence.now.silent.items()
        if share > 1 - ALIVE and evidence.before.silent.get(name, 0.0) > 1 - ALIVE
    ]
    if not dead or evidence.now is evidence.before or evidence.loss < (1 - NEAR) * evidence.guessing:
        return None
    grown = "" if evidence.growth < 2 else f", since the weights grew to {evidence.growth:.1f} times their size"
    return evidence.alarm(
        "dead ReLUs",
        f"the ReLUs of {listed(dead)} give zero for every image of the batch{grown}: no gradient passes there, and the "
        f"layers before them can no longer learn",
        f"begin anew with a smaller learning rate, --lr {evidence.config.lr / 10:g}, with biases near 0, or with "
        f"--model-options activation leaky_relu, which always lets a gradient through",
    )
