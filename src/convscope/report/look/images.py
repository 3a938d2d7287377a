"""What `convscope look` shows of single images: what the network makes of them, and what its answer rests on."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from convscope import plots
from convscope.data import Splits
from convscope.data.decoding import read_square
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.interpret.ablation import channel_effects
from convscope.interpret.activations import record
from convscope.interpret.attribution import Method, explain
from convscope.numbers import counted, percent
from convscope.predict import inverted, splits_of
from convscope.report.look.page import Section, Table, section_or_reason, write_look_page
from convscope.report.look.subject import Subject
from convscope.runs import Run

_OF_THE_DATA = re.compile(r"(train|val|test)/(\d+)")
_CLASSES = 5
_CHANNELS = 8
"""Channels that are switched off, where none is named."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the network said of one image."""

    source: str
    """As it was asked for."""
    classes: tuple[tuple[str, float], ...]
    """The likeliest classes with their probabilities in [0, 1], the best first."""
    label: str | None
    """The true class, where it is known."""
    exchanged: bool
    """Whether light and dark seem to be the other way round than in the training images."""


def look_at_images(
    run: Run,
    images: Sequence[str],
    *,
    layer: str | None = None,
    channels: tuple[int, ...] | None = None,
    invert: bool = False,
    output: Path | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    progress: Progress | None = None,
    on_error: Callable[[UserError], None],
) -> tuple[Path | None, tuple[Answer, ...]]:
    """Draw what a run's network makes of images into the folder `output`, by default RUN/look, and write a page of it.

    An image is a file, or such as `test/12`, that of this number in the run's own data; `invert` exchanges light and
    dark. Of `layer` the activation maps are drawn, and its `channels` switched off. Of an image that cannot be had
    `on_error` is told, and the others are drawn nevertheless.

    Returns:
        The path of the page, None if there was no image at all, and the answers.

    Raises:
        UserError: no such layer or channel; no weights yet; the data set is not to be had.
        ConvscopeError: a picture or the page cannot be written.
    """
    subject = Subject.open(run, layer=layer, channels=channels, output=output, device=device)
    # A file of that name comes first. The data are read only if an image of theirs is asked for.
    of_the_data = {image for image in images if _OF_THE_DATA.fullmatch(image) and not Path(image).exists()}
    splits = splits_of(run, subject.predictor, data_dir=data_dir, progress=progress) if of_the_data else None
    sections: list[Section] = []
    answers: list[Answer] = []
    for number, image in enumerate(images, start=1):
        try:
            if splits is not None and image in of_the_data:
                pixels, label = _of_the_data(splits, image)
            else:
                preprocessing = subject.predictor.preprocessing
                pixels = read_square(image, size=preprocessing.decode_size, resize=preprocessing.resize)
                label = None
        except UserError as error:
            on_error(error)
            continue
        pixels = 255 - pixels if invert else pixels
        inputs = subject.prepare(pixels[None])
        exchanged = inverted(pixels, subject.predictor.preprocessing.border)
        answers.append(_answer(subject, inputs, image, label, exchanged=exchanged))
        sections += _sections(subject, inputs, answers[-1], f"image-{number}")
        if progress is not None:
            progress("drawing", number, len(images))
    if not sections:
        return None, ()
    page = write_look_page(
        subject.folder / "images.html",
        name=run.name,
        about=f"what it makes of {counted(len(answers), 'image')}",
        sections=sections,
    )
    return page, tuple(answers)


def _of_the_data(splits: Splits, image: str) -> tuple[Tensor, str]:
    """Pixels and class of `test/12`."""
    split, _, number = image.partition("/")
    image_set = getattr(splits, split)
    if int(number) >= len(image_set):
        raise UserError(
            f"there is no image {image}, for the {split} split of {splits.name} has {len(image_set):,}: choose from "
            f"{split}/0 to {split}/{len(image_set) - 1}."
        )
    index = torch.tensor([int(number)])
    return image_set.take(index)[0], image_set.classes[int(image_set.labels[index])]


def _sections(subject: Subject, inputs: Tensor, answer: Answer, file: str) -> Iterator[Section]:
    """Of one image (1, C, H, W) as the network takes it; its pictures are called after `file`."""
    said, sure = answer.classes[0]
    truth = f" Its true class is {answer.label}." if answer.label is not None else ""
    doubt = " Light and dark seem to be the other way round than in the training images." if answer.exchanged else ""
    yield Section(
        title=answer.source,
        text=(f"The network says {said} ({percent(sure, 1)}).{truth}{doubt}",),
        tables=(
            Table(head=("class", "probability"), rows=tuple((name, percent(value)) for name, value in answer.classes)),
        ),
    )
    parts = {
        "what the answer rests on": lambda title: _attributions(subject, inputs, answer, title, file),
        "activation maps": lambda title: Section(
            title=title, pictures=subject.draw_activations(inputs, f"{file}-maps", answer.source)
        ),
        "without a channel": lambda title: _without(subject, inputs, answer, title),
    }
    for title, draw in parts.items():
        yield section_or_reason(f"{answer.source}: {title}", draw)


def _answer(subject: Subject, inputs: Tensor, source: str, label: str | None, *, exchanged: bool) -> Answer:
    names = subject.predictor.classes
    with torch.no_grad():
        probabilities = subject.model(inputs)[0].float().softmax(dim=0).cpu()  # (K,)
    values, places = probabilities.topk(min(_CLASSES, len(names)))
    likeliest = ((names[place], value) for place, value in zip(places.tolist(), values.tolist(), strict=True))
    return Answer(source=source, classes=tuple(likeliest), label=label, exchanged=exchanged)


def _attributions(subject: Subject, inputs: Tensor, answer: Answer, title: str, file: str) -> Section:
    maps, reasons = {}, []
    for method in get_args(Method):
        try:
            maps[method] = explain(subject.model, inputs, method=method, layer=subject.layer_with_maps).cpu().numpy()
        except UserError as error:  # of a network without maps, which some methods need
            reasons.append(f"Without {method}: {error}")
    said, sure = answer.classes[0]
    figure = plots.attributions(
        subject.seen(inputs).numpy(), maps, [f"{said} {percent(sure, 0)}"], [answer.label in (None, said)]
    )
    description = f"{answer.source}, and what spoke for {said} in it by {', '.join(maps)}."
    return Section(
        title=title,
        text=(
            f"What spoke for {said}, by every method, each map scaled by its own largest value. Grad-CAM and occlusion "
            "ask which places matter, guided backpropagation which pixels; where they agree, trust them more.",
            *reasons,
        ),
        pictures=(subject.save(figure, f"{file}-attributions", description),),
    )


def _without(subject: Subject, inputs: Tensor, answer: Answer, title: str) -> Section:
    """What becomes of the answer when the channels that this image excites most are zero, one at a time."""
    layer, said = subject.layer_to_silence, answer.classes[0][0]
    peaks = record(subject.model, inputs, [layer])[layer][0].flatten(1).amax(dim=1)  # (C,)
    chosen = subject.channels or sorted(peaks.topk(min(_CHANNELS, len(peaks))).indices.tolist())
    label = torch.tensor([subject.predictor.classes.index(said)])
    effects = channel_effects(subject.model, inputs, label, layer, channels=chosen)
    rows = tuple(
        (f"channel {channel}", f"{peaks[channel]:.3g}", percent(float(left)), "stays" if stays else "changes")
        for channel, left, stays in zip(
            effects.channels, effects.probability_without[:, 0], effects.right_without[:, 0].tolist(), strict=True
        )
    )
    which = "the channels asked for" if subject.channels else "the channels that it excites most"
    return Section(
        title=title,
        text=(f"{which[0].upper()}{which[1:]} in {layer} were set to zero, one at a time.",),
        tables=(Table(head=("without", "largest value", f"probability of {said}", "the answer"), rows=rows),),
    )
