"""What helps to understand an answer: similar images, patches that excite a channel, the answer without a channel."""

import math
from typing import Any

import torch
from torch import Tensor

from convscope.data import ImageSet, stratified_split
from convscope.downloads import Progress
from convscope.explorer.encoding import numbers
from convscope.explorer.explorer import Explorer
from convscope.explorer.subject import Subject
from convscope.interpret.ablation import without_channels
from convscope.interpret.features import features, nearest
from convscope.interpret.patches import exciting
from convscope.predict import Predictor
from convscope.web.answers import Answer, Refused, in_json

_NEIGHBOURS = 12
_MOST_SEARCHED = {"train": 4000, "test": 1000}
_LEAST_SEARCHED = 64
_WORK = {"train": 10**12, "test": 5 * 10**11}
"""Multiply-adds that a search may take: about a minute, and half of one, on a processor core of our day."""


def without(explorer: Explorer, *, run: str, epoch: str, image: str, layer: str, channel: int) -> Answer:
    """What the network answers when one channel of a layer is zero."""
    subject = explorer.subject(run)
    _check_channel(subject, layer, channel)
    with subject.alone(epoch) as predictor, torch.no_grad():
        inputs = inputs_of(explorer, predictor, image)
        with without_channels(predictor.model, layer, [channel]):
            logits = predictor.model(inputs)[0].float().cpu()
    return in_json({"logits": numbers(logits), "probabilities": numbers(logits.softmax(dim=0))})


def neighbours(explorer: Explorer, *, run: str, epoch: str, image: str) -> Answer:
    """The training images in which the last layer sees nearly the same."""
    subject = explorer.subject(run)
    train = explorer.images.split("train")
    indices = _searched(train, subject)

    def work(progress: Progress) -> Tensor:
        predictor = subject.private(epoch)
        return features(
            predictor.model,
            predictor.preprocessing,
            train,
            indices=indices,
            batch_size=_batch_size(subject),
            progress=progress,
        )

    job = explorer.background.ask(("features", run, epoch), work)
    if not job.ready:
        return in_json({"state": "computing", "progress": job.progress, "searched": len(indices), "images": []})
    found: Tensor = job.result()
    with subject.alone(epoch) as predictor:
        pixels = explorer.images.pixels(image, predictor.preprocessing)
        alone = ImageSet(pixels[None], torch.tensor([0]), ("the image",))
        query = features(predictor.model, predictor.preprocessing, alone)[0]
    # One more than are shown, for an image of the training set is its own nearest neighbour.
    places, similarities = nearest(found, query, _NEIGHBOURS + 1)
    rows = [
        {"id": f"train/{index}", "label": int(train.labels[index]), "similarity": similarity}
        for index, similarity in zip(indices[places].tolist(), numbers(similarities), strict=True)
        if f"train/{index}" != image
    ]
    return in_json({"state": "ready", "progress": 1.0, "searched": len(indices), "images": rows[:_NEIGHBOURS]})


def patches(explorer: Explorer, *, run: str, epoch: str, layer: str, channel: int) -> Answer:
    """The patches of test images that excite a channel most; searched once for all channels of the layer."""
    subject = explorer.subject(run)
    _check_channel(subject, layer, channel)
    test = explorer.images.split("test")
    limit = _count("test", subject, len(test))

    def work(progress: Progress) -> Any:
        predictor = subject.private(epoch)
        return exciting(
            predictor.model,
            predictor.preprocessing,
            test,
            layer,
            limit=limit,
            batch_size=_batch_size(subject),
            progress=progress,
        )

    job = explorer.background.ask(("patches", run, epoch, layer), work)
    if not job.ready:
        return in_json({"state": "computing", "progress": job.progress, "patches": []})
    size = subject.predictor(epoch).preprocessing.size
    rows = [
        {"id": f"test/{patch.image}", "box": list(patch.box), "value": patch.value, "size": size}
        for patch in job.result()[channel]
        if math.isfinite(patch.value)
    ]
    return in_json({"state": "ready", "progress": 1.0, "patches": rows})


def inputs_of(explorer: Explorer, predictor: Predictor, image: str) -> Tensor:
    """What the network sees: (1, C, H, W) on its device."""
    pixels = explorer.images.pixels(image, predictor.preprocessing)
    return predictor.preprocessing(pixels[None]).to(predictor.device)


def _check_channel(subject: Subject, layer: str, channel: int) -> None:
    channels = subject.layer(layer).output_shape[0]
    if channel >= channels:
        raise Refused(f"the layer '{layer}' has no channel {channel}: choose from 0 to {channels - 1}.", 404)


def _searched(train: ImageSet, subject: Subject) -> Tensor:
    """Some of the images, always the same ones, every class with its share: int64."""
    most = _count("train", subject, len(train))
    if most == len(train):
        return torch.arange(most)
    return stratified_split(train.labels, share=most / len(train), seed=0)[1]


def _count(split: str, subject: Subject, there: int) -> int:
    affordable = _WORK[split] // max(1, subject.summary.multiply_adds)
    return min(there, _MOST_SEARCHED[split], max(_LEAST_SEARCHED, affordable))


def _batch_size(subject: Subject) -> int:
    """So few images that progress is seen, and an end of the explorer not waited for."""
    return min(128, max(1, 10**10 // max(1, subject.summary.multiply_adds)))
