"""The parts of the page that `convscope look` writes about a network: each draws pictures and says what they show.

Each may raise a UserError where the network has nothing of the kind.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from convscope import plots
from convscope.data import Splits
from convscope.downloads import Progress
from convscope.interpret.ablation import ChannelEffects, channel_effects
from convscope.interpret.attribution import Method, explain
from convscope.interpret.embedding import principal_components, tsne
from convscope.interpret.filters import filter_pictures, first_filters
from convscope.interpret.patches import exciting
from convscope.interpret.sampling import spread
from convscope.numbers import counted, percent
from convscope.report.look.page import Section, Table
from convscope.report.look.subject import Subject

Embedding = Literal["pca", "tsne"]

_LAYERS = 3
"""Layers whose exciting patches are shown, where none is named."""
_CHANNELS = 6
"""Channels of each, where none is named."""
_PATCHES = _EXPLAINED = 8
"""Patches of a channel; images with attribution maps, of the right answers and of the wrong ones."""
_MOST_PAIRED = 2000
"""Images that t-SNE lays out; it looks at every pair of them."""
_EFFECT_IMAGES = 300
_MISSED = 12
"""Rows of the table of channels that are missed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A network, its data, and what is to be shown of them."""

    subject: Subject
    splits: Splits
    method: Method
    embedding: Embedding
    limit: int
    progress: Progress | None
    indices: Tensor
    """int64 (N,), of the test images that are looked through."""
    features: Tensor
    """float32 (N, F)."""
    probabilities: Tensor
    """float32 (N, K)."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,)."""
        return self.splits.test.labels[self.indices]

    @property
    def predicted(self) -> Tensor:
        """int64 (N,)."""
        return self.probabilities.argmax(dim=1)


def filters(what: Look, title: str) -> Section:
    """The weights of the first layer."""
    subject = what.subject
    name, weights = first_filters(subject.model, subject.shape)
    shown, largest = filter_pictures(weights.cpu())
    colours = (
        "Middle grey is a weight of zero; a colour that stands out is one the filter looks for"
        if weights.shape[1] == 3
        else "White is a weight of zero, red looks for light, blue for dark"
    )
    return Section(
        title=title,
        text=(
            f"The weights of {name}, which looks at the image itself. {colours}. All are on one scale, on which the "
            f"largest weight is {largest:.3g}; a filter that looks empty hardly does anything. They are laid on the "
            "normalised image.",
        ),
        pictures=(subject.save(plots.filters(shown, largest, name), "filters", f"The weights of {name}."),),
    )


def activations(what: Look, title: str) -> Section:
    """The maps of one test image."""
    right = (what.predicted == what.labels).nonzero()[:, 0]
    chosen = int(right[0]) if len(right) else 0
    index = int(what.indices[chosen])
    inputs = what.subject.prepare(what.splits.test.take(torch.tensor([index])))
    name = what.splits.test.classes[int(what.labels[chosen])]
    return Section(
        title=title,
        text=(
            f"What each convolution makes of test image {index} ({name}): the channels with the highest values, each "
            "on a scale of its own; red is above zero, blue below. Early layers answer to edges and colours where they "
            "are; deep ones to a few places only, and no longer to anything that the eye would name.",
        ),
        pictures=what.subject.draw_activations(inputs, "activations", name),
    )


def patches(what: Look, title: str) -> Section:
    """What excites channels, in the images to validate."""
    subject, predictor, val = what.subject, what.subject.predictor, what.splits.val
    drawn = []
    for name in subject.chosen(_LAYERS):
        found = exciting(
            *(predictor.model, predictor.preprocessing, val, name),
            channels=subject.channels,
            k=_PATCHES,
            limit=what.limit,
            batch_size=subject.batch_size,
            progress=what.progress,
        )
        if subject.channels is None:
            strongest = sorted(found, key=lambda channel: -found[channel][0].value)[:_CHANNELS]
            found = {channel: found[channel] for channel in sorted(strongest)}
        places = torch.tensor([patch.image for patches in found.values() for patch in patches])
        images = iter(subject.seen(subject.prepare(val.take(places))).numpy())
        shown = {
            channel: [(next(images), patch.box, patch.value) for patch in patches] for channel, patches in found.items()
        }
        description = f"Patches that excite the channels {', '.join(map(str, shown))} of {name} most."
        drawn.append(subject.save(plots.exciting_patches(name, shown), f"patches-{name}", description))
    return Section(
        title=title,
        text=(
            f"The parts of {counted(min(what.limit, len(val)), 'validation image')} that excite a channel most, one of "
            "each image, cut out by what the value can see (its receptive field), and below them the images that they "
            "are from. They are validation images because the network was not fitted to them: what excites it in these "
            "it has learned, not memorised; and the test images are left to testing.",
        ),
        pictures=tuple(drawn),
    )


def attributions(what: Look, title: str) -> Section:
    """What right and wrong answers rest on."""
    subject, test = what.subject, what.splits.test
    drawn = []
    right = what.predicted == what.labels
    for name, members in (("right", right.nonzero()[:, 0]), ("wrong", (~right).nonzero()[:, 0])):
        if len(members) == 0:
            continue
        chosen = members[spread(len(members), _EXPLAINED)]
        inputs = subject.prepare(test.take(what.indices[chosen]))
        maps = explain(subject.model, inputs, method=what.method, layer=subject.layer_with_maps)
        captions = []
        for place in chosen.tolist():
            said, truth = int(what.predicted[place]), int(what.labels[place])
            sure = percent(float(what.probabilities[place, said]), 0)
            captions.append(f"{test.classes[said]} {sure}" + ("" if said == truth else f", is {test.classes[truth]}"))
        figure = plots.attributions(
            subject.seen(inputs).numpy(), {what.method: maps.cpu().numpy()}, captions, [name == "right"] * len(chosen)
        )
        description = f"What answers that are {name} rest on: {'; '.join(captions)}."
        drawn.append(subject.save(figure, f"attributions-{name}", description))
    return Section(
        title=title,
        text=(
            f"Test images with the predicted class and its probability, and below each the parts that spoke for this "
            f"class by {what.method}. Where the answer is wrong, the true class is named too. Such maps say where the "
            "network looked, not what it saw there.",
        ),
        pictures=tuple(drawn),
    )


def embedding(what: Look, title: str) -> Section:
    """The test images in a plane."""
    chosen = spread(len(what.features), len(what.features) if what.embedding == "pca" else _MOST_PAIRED)
    if what.embedding == "pca":
        components = principal_components(what.features)
        points, (first, second) = components.points, components.explained
        names = (f"first component: {percent(first, 1)} of the variance", f"second component: {percent(second, 1)}")
        method = (
            f"The plane shows {percent(first + second, 1)} of their variance; images that lie together in it may be "
            "far apart in the other directions. --embedding tsne shows neighbourhoods instead."
        )
    else:
        found = tsne(what.features[chosen], progress=what.progress)
        points, names = found.points, ("t-SNE", "")
        method = (
            "t-SNE keeps neighbours together: groups can be trusted, the distances between groups and their sizes "
            f"cannot. Kullback-Leibler divergence: {found.divergences[-1]:.3f}."
        )
    classes = what.splits.test.classes
    labels, predicted = what.labels[chosen].numpy(), what.predicted[chosen].numpy()
    figure = plots.embedding(points.numpy(), labels, predicted, classes, names)
    description = f"{len(chosen):,} test images as points, coloured by class; images predicted wrongly are crossed."
    return Section(
        title=title,
        text=(
            f"The {what.features.shape[1]:,} numbers by which the last layer tells {len(chosen):,} test images "
            f"apart, laid out in two dimensions. {method}",
        ),
        pictures=(what.subject.save(figure, f"embedding-{what.embedding}", description),),
    )


def effects(what: Look, title: str) -> Section:
    """What becomes of the answers without single channels."""
    subject, val = what.subject, what.splits.val
    name = subject.layer_to_silence
    indices = spread(len(val), min(what.limit, _EFFECT_IMAGES))
    effects = channel_effects(
        *(subject.model, subject.prepare(val.take(indices)), val.labels[indices], name),
        channels=subject.channels,
        batch_size=subject.batch_size,
        progress=what.progress,
    )
    by_class = effects.by_class(len(val.classes))
    figure = plots.channel_effects(
        effects.channels, effects.probability_change.numpy(), by_class.numpy(), val.classes, name
    )
    return Section(
        title=title,
        text=(
            f"Each of {counted(len(effects.channels), 'channel')} of {name} was set to zero by itself, and "
            f"{counted(len(indices), 'validation image')} were shown to the network; with all channels it names "
            f"{percent(effects.accuracy)} of them rightly. Where hardly anything changes, other channels see the same.",
        ),
        pictures=(subject.save(figure, f"channels-{name}", f"What changes without single channels of {name}."),),
        tables=(_missed(effects, by_class, val.classes),),
    )


def _missed(effects: ChannelEffects, by_class: Tensor, classes: tuple[str, ...]) -> Table:
    """The channels whose loss costs the true class most probability."""
    rows = []
    for place in effects.probability_change.argsort()[:_MISSED].tolist():
        losses = by_class[place].nan_to_num(nan=torch.inf)
        worst = int(losses.argmin())
        rows.append(
            (
                f"channel {effects.channels[place]}",
                f"{effects.accuracy_change[place]:+.2%}",
                f"{effects.probability_change[place]:+.2%}",
                f"{classes[worst]} ({losses[worst]:+.2%})",
            )
        )
    return Table(
        head=("without", "accuracy", "probability of the true class", "the class that loses most"), rows=tuple(rows)
    )
