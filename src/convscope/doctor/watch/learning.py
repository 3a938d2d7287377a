"""Alarms about what comes of the training: nothing, or what holds for the training images alone."""

from convscope.doctor.guessing import ways_out
from convscope.doctor.watch.alarms import NEAR, Alarm, Evidence, median

SMALL = 0.2
"""Norm of the weights at the start against He et al.'s rule, below which signals and gradients die out with depth."""
VANISHED = 1e-3
"""Gradient of the first layer against that of the last, each as a share of its weights; a tenth is usual."""
UNRELATED = 1.5
"""Differences between the images of classes, against those that any division of them shows, 1 on average."""
LATE = 3
"""Epochs in a row in which something must be seen before it is said: one may be an accident."""
WORSE = 1.25
"""Validation loss against the lowest, above which the network has unlearnt something."""
GAP = 2.0
"""Validation loss against the training loss, beyond what dropout and weights that move explain."""
ABOVE_CHANCE = 0.25
"""Share of the images above those that guessing gets right, at which training has clearly taught something."""


def labels_at_random(evidence: Evidence) -> Alarm | None:
    """A loss that does not fall below that of guessing, where classes cannot be told apart by their images at all."""
    if not evidence.lost or (difference := evidence.class_difference()) > UNRELATED:
        return None
    return evidence.alarm(
        "labels look wrong",
        f"the loss, {evidence.loss:.3f}, is no lower than that of guessing among {evidence.classes} classes, and "
        f"training images of one class are no more like each other than like any others (from class to class they "
        f"differ {difference:.1f} times as much as by chance): the labels have nothing to do with them",
        "look at some images with their labels, `convscope data show`, and see whether both are in the same order; "
        "`convscope doctor data` looks for wrong labels",
    )


def stuck(evidence: Evidence) -> Alarm | None:
    """A loss that stays at that of guessing: say why, as far as it is to be seen."""
    if not evidence.stalled:
        return None
    known = f"the loss, {evidence.loss:.3f}, is that of guessing among {evidence.classes} classes"
    weights = evidence.now.weights
    first, last = (w.gradient / w.norm if w.norm else 0.0 for w in (weights[0], weights[-1])) if weights else (1.0, 1.0)
    remedy = f"try {'; or '.join(ways_out(evidence.config))}"
    if len(weights) > 1 and first < VANISHED * last:
        drawn = median([w.norm / w.usual for w in evidence.start.weights])
        if drawn < SMALL:
            known += f"; most weights were drawn smaller than by He et al.'s rule, {drawn:.1g} times as large"
            remedy = f"draw them by that rule (nn.init.kaiming_normal_), as Convscope's networks do; and {remedy}"
        return evidence.alarm(
            "vanishing gradients",
            f"{known}, and hardly a gradient reaches the first layer: {first:.1g} of its weights at "
            f"{weights[0].layer}, {last:.1g} at {weights[-1].layer}; all images get nearly the same answer",
            remedy,
        )
    return evidence.alarm(
        "stuck at chance",
        f"{known}: the network knows nothing of the images, and that may last for epochs",
        remedy,
    )


def labels_disagree(evidence: Evidence) -> Alarm | None:
    """What is learnt from the training images is of no use for the others."""
    last = evidence.history[-LATE:]
    learnt = [record.train_accuracy > evidence.most_frequent + ABOVE_CHANCE for record in last]
    chance = [
        record.val_accuracy < evidence.most_frequent + ABOVE_CHANCE / 5
        and record.val_loss > (1 - NEAR) * evidence.guessing
        for record in last
    ]
    if len(last) < LATE or not all(learnt) or not all(chance):
        return None
    return evidence.alarm(
        "labels look wrong",
        f"{last[-1].train_accuracy:.0%} of the training images are recognised, but only {last[-1].val_accuracy:.0%} of "
        f"the validation images, as many as by guessing, for {LATE} epochs: the network learns by heart, because the "
        f"labels have nothing to do with the images, or the two sets have different ones",
        "look at images and labels of both sets, `convscope data show`; `convscope doctor data` looks for wrong labels "
        "and for sets that differ",
    )


def overfitting(evidence: Evidence) -> Alarm | None:
    """Validation loss that rises for epochs, while the training loss goes on falling."""
    history = evidence.history
    if len(history) <= LATE:
        return None
    best = min(history, key=lambda record: record.val_loss)
    since = [record for record in history if record.epoch > best.epoch]
    last = history[-1]
    if (
        len(since) < LATE
        or any(record.val_loss < WORSE * best.val_loss for record in since[-LATE:])
        or last.train_loss > 0.9 * best.train_loss
        or last.val_loss < GAP * last.train_loss
    ):
        return None
    config = evidence.config
    options = ["more images"]
    if not (config.flip or config.shift or config.crop_scale < 1):
        options.append("augmentation, such as --shift 2 or --flip where mirrored images are possible")
    if not config.weight_decay:
        options.append("--weight-decay 0.01" if config.optimizer == "adamw" else "--weight-decay 0.0005")
    if config.patience is None:
        options.append("an end in time, --patience 3")
    return evidence.alarm(
        "overfitting",
        f"since epoch {best.epoch} the validation loss rose from {best.val_loss:.3f} to {last.val_loss:.3f}, while the "
        f"training loss fell from {best.train_loss:.3f} to {last.train_loss:.3f}: the network learns its training "
        f"images by heart (the weights of epoch {best.epoch} are kept)",
        f"try {'; or '.join(options)}",
    )
