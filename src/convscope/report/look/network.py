"""What `convscope look` shows of a network: its filters, maps and patches, what it attends to, how it orders images."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from convscope.downloads import Progress
from convscope.errors import UserError, unknown
from convscope.interpret.attribution import Method
from convscope.interpret.features import features
from convscope.interpret.sampling import spread
from convscope.predict import splits_of
from convscope.report.look import parts
from convscope.report.look.page import Section, section_or_reason, write_look_page
from convscope.report.look.parts import Embedding, Look
from convscope.report.look.subject import Subject
from convscope.runs import Run


def look(
    run: Run,
    *,
    layer: str | None = None,
    channels: tuple[int, ...] | None = None,
    method: Method = "grad-cam",
    embedding: Embedding = "pca",
    limit: int = 1000,
    output: Path | None = None,
    device: str = "auto",
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw the inside of a run's network into the folder `output`, by default RUN/look, and write a page about it.

    `layer` and some of its `channels` are those whose patches and effects are shown; at most `limit` images of a split
    are looked through.

    Returns:
        The path of the page.

    Raises:
        UserError: no such layer, channel, method or embedding; no weights yet; the data set is not to be had.
        ConvscopeError: a picture or the page cannot be written.
    """
    for kind, word, known in (("method", method, Method), ("embedding", embedding, Embedding)):
        if word not in get_args(known):
            raise unknown(kind, word, get_args(known))
    if limit < 3:
        raise UserError(f"the limit is {limit}: look at 3 images at least.")
    subject = Subject.open(run, layer=layer, channels=channels, output=output, device=device)
    predictor = subject.predictor
    splits = splits_of(run, predictor, data_dir=data_dir, progress=progress)
    indices = spread(len(splits.test), limit)
    seen = features(
        *(subject.model, predictor.preprocessing, splits.test),
        indices=indices,
        batch_size=subject.batch_size,
        progress=progress,
    )
    with torch.no_grad():
        logits = subject.model.head(seen.to(predictor.device)).float().cpu()
    what = Look(
        subject=subject,
        splits=splits,
        method=method,
        embedding=embedding,
        limit=limit,
        progress=progress,
        indices=indices,
        features=seen,
        probabilities=logits.softmax(dim=1),
    )
    config = run.config()
    return write_look_page(
        subject.folder / "network.html",
        name=run.name,
        about=f"{config.model} on {config.data}",
        sections=list(_sections(what)),
    )


def _sections(what: Look) -> Iterator[Section]:
    sections = {
        "The filters of the first layer": parts.filters,
        "Activation maps": parts.activations,
        "What excites channels most": parts.patches,
        "What the answers rest on": parts.attributions,
        "How the network orders images": parts.embedding,
        "What changes without a channel": parts.effects,
    }
    for done, (title, draw) in enumerate(sections.items()):
        if what.progress is not None:
            what.progress("drawing", done, len(sections))
        yield section_or_reason(title, partial(draw, what))
    if what.progress is not None:
        what.progress("drawing", len(sections), len(sections))
