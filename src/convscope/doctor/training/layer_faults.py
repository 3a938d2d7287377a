"""What is wrong with layers, once `depth.examine_layers` has looked at them."""

from collections.abc import Iterator, Sequence

from convscope.doctor.findings import Finding, Severity
from convscope.doctor.training.depth import LayerHealth
from convscope.numbers import counted

MOSTLY = 0.9
"""Share of dead or saturated units that no healthy layer has: at the beginning a deep one may have 0.4."""
VANISHED = 1e-6
"""Gradient of the first layer as a share of the largest, both as a share of their weights: of 17 networks at their
beginning, the least was 2e-3."""
EXPLODED = 1e3
"""Norm of the whole gradient; the largest of those was 26."""

_SHOWN = 4


def find_wrong_layers(
    layers: Sequence[LayerHealth], *, resting: frozenset[str], still: frozenset[str]
) -> Iterator[Finding]:
    """The faults of layers, causes before what may follow from them.

    `resting` are the layers that the setting freezes. `still` are those that had no gradient some steps later either:
    a layer may get its first one when the next layer has moved.
    """
    weighted = [layer for layer in layers if layer.weight_norm is not None and layer.name not in resting]
    frozen = [layer for layer in weighted if not layer.learns]
    if frozen:
        yield _finding(
            frozen,
            weighted,
            kind="frozen by mistake",
            what="cannot learn though the setting freezes nothing there, for want of a gradient or of a place in the "
            "optimizer.",
            why="Such weights stay as they were drawn, and the layers after them have to make do.",
            remedy="Leave requires_grad of all parameters as it is, and build the optimizer from all parameters of the "
            "network; freeze on purpose with --freeze.",
        )
    cut = [layer for layer in weighted if layer.learns and layer.grad_norm == 0 and layer.name in still]
    zeroed = [layer for layer in cut if layer.weight_norm == 0]
    dead = [layer for layer in layers if (layer.dead or 0.0) >= MOSTLY and layer.name not in resting]
    if zeroed:
        yield _finding(
            zeroed,
            weighted,
            kind="zeroed layer",
            what="cannot learn: all weights are 0, and no gradient reaches them that could change that.",
            why="What a layer of zeros answers is the same for all images, and where a ReLU follows it passes no "
            "gradient back at 0: neither this layer nor those before it will learn.",
            remedy="Draw the weights at random, by Kaiming's rule, say: nn.init.kaiming_normal_(layer.weight).",
        )
    elif dead:
        yield _finding(
            dead,
            [layer for layer in layers if layer.dead is not None],
            kind="dead ReLUs",
            what=f"gave 0 for every image in at least {min(layer.dead or 0.0 for layer in dead):.0%} of the units.",
            why="A ReLU passes no gradient back where it is 0, so what is 0 for every image stays so.",
            remedy="Set the biases before them to 0 (nn.init.zeros_), lower the learning rate if they died in "
            "training, or take leaky_relu or gelu (--model-options activation gelu).",
        )
    elif cut:
        yield _finding(
            cut,
            weighted,
            kind="no gradient",
            what="got no gradient.",
            why="Such weights stay as they are.",
            remedy="Look for detach(), no_grad() or a comparison on the way from there to the loss.",
        )
    level = [layer for layer in layers if (layer.saturated or 0.0) >= MOSTLY]
    if level:
        yield _finding(
            level,
            [layer for layer in layers if layer.saturated is not None],
            kind="saturated units",
            severity="warning",
            what=f"gave one of the two ends in at least {min(layer.saturated or 0.0 for layer in level):.0%} of cases.",
            why="There they are level, and pass hardly any gradient back.",
            remedy="Draw the weights before them smaller, by Glorot's rule, say: "
            "nn.init.xavier_uniform_(layer.weight).",
        )
    yield from _find_wrong_gradients([layer for layer in weighted if layer.weight_norm and layer.grad_norm])


def _find_wrong_gradients(layers: Sequence[LayerHealth]) -> Iterator[Finding]:
    """Of layers that have a weight and a gradient."""
    if not layers:
        return
    total = sum((layer.grad_norm or 0.0) ** 2 for layer in layers) ** 0.5
    relative = [(layer.grad_norm or 0.0) / (layer.weight_norm or 1.0) for layer in layers]
    if not total < EXPLODED:
        largest = max(layers, key=lambda layer: layer.grad_norm or 0.0)
        yield Finding(
            kind="exploding gradients",
            severity="severe",
            what=f"the norm of the first gradient is {total:.3g}, most of it in {largest.name} "
            f"({largest.grad_norm:.3g}).",
            why="The first step throws the weights far away, or makes them infinite.",
            remedy="Put a batch norm after each convolution, draw the weights smaller, or limit the gradient with "
            "--clip-norm 1.",
        )
    elif relative[0] < VANISHED * max(relative):
        yield Finding(
            kind="vanishing gradients",
            severity="warning",
            what=f"the gradient of {layers[0].name} is {relative[0] / max(relative):.1g} of the largest one, as a "
            "share of their weights.",
            why="With sgd the first layers hardly move while the last ones learn, and what they pass on stays as good "
            "as random.",
            remedy="Put a batch norm after each convolution, take relu in place of tanh and sigmoid, or --optimizer "
            "adamw, whose steps do not shrink with the gradient.",
        )


def _finding(
    concerned: Sequence[LayerHealth],
    among: Sequence[LayerHealth],
    *,
    kind: str,
    severity: Severity = "severe",
    what: str,
    why: str,
    remedy: str,
) -> Finding:
    """A finding about layers, which it names."""
    names = ", ".join(layer.name for layer in concerned[:_SHOWN])
    more = f" and {len(concerned) - _SHOWN:,} more" if len(concerned) > _SHOWN else ""
    return Finding(
        kind=kind,
        severity=severity,
        what=f"{counted(len(concerned), 'layer')} ({names}{more}) {what}",
        why=why,
        remedy=remedy,
        count=len(concerned),
        share=len(concerned) / len(among),
    )
