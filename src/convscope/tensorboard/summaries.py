"""What an event says: numbers, pictures, histograms, and the setting of a training."""

import io
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from torch import Tensor

from convscope.config import Config, Option

BUCKETS = 30
"""As many as TensorBoard draws."""
_PIECE = 1 << 22
"""Values counted at a time: histc counts in float32, which knows no odd numbers above 2**24."""
_COLUMNS, _SIDE, _GAP = 8, 32, 2
"""Pictures in a row of a sheet; pixels that each has at least, and between two of them."""


def scalars(values: Mapping[str, float]) -> list[Summary.Value]:
    """Numbers by name; TensorBoard puts together what has the same word before the slash."""
    return [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]


def sheet(tag: str, pictures: Tensor) -> Summary.Value:
    """Pictures (N, C, H, W) in [0, 1] of 1 or 3 channels, in rows on white; small ones are enlarged."""
    enlarged = max(1, math.ceil(_SIDE / pictures.shape[-1]))
    pixels = pictures.detach().float().cpu().repeat_interleave(enlarged, dim=2).repeat_interleave(enlarged, dim=3)
    pixels = F.pad(pixels, (_GAP, _GAP, _GAP, _GAP), value=1.0)
    count, channels, height, width = pixels.shape
    columns = min(_COLUMNS, count)
    rows = math.ceil(count / columns)
    paper = torch.ones(rows * columns, channels, height, width)
    paper[:count] = pixels
    paper = paper.view(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)  # rows, H, columns, W, C
    picture = paper.reshape(rows * height, columns * width, channels).expand(-1, -1, 3)
    file = io.BytesIO()
    Image.fromarray(picture.clamp(0, 1).mul(255).round().to(torch.uint8).numpy()).save(file, "png")
    return _image(tag, file.getvalue(), width=columns * width, height=rows * height)


def picture_file(tag: str, path: Path) -> Summary.Value:
    """A PNG file as it is."""
    with Image.open(path) as picture:
        width, height = picture.size
    return _image(tag, path.read_bytes(), width=width, height=height)


def _image(tag: str, png: bytes, *, width: int, height: int) -> Summary.Value:
    return Summary.Value(tag=tag, image=Summary.Image(width=width, height=height, encoded_image_string=png))


def histogram(tag: str, values: Tensor) -> list[Summary.Value]:
    """How often there are values of each size, in BUCKETS buckets of one width; nothing where none is finite.

    `values` may have any shape. Infinite ones are left out: float16 has such gradients, and then takes no step.
    """
    flat = values.detach().float().flatten()
    flat = flat[flat.isfinite()]
    if not len(flat):
        return []
    low, high = flat.min().item(), flat.max().item()
    pieces = torch.split(flat, _PIECE)
    if low < high:
        parts = [torch.histc(piece, bins=BUCKETS, min=low, max=high).tolist() for piece in pieces]
        counts = [sum(column) for column in zip(*parts, strict=True)]
        limits = [low + (high - low) * (place + 1) / BUCKETS for place in range(BUCKETS)]
    else:  # all are the same
        counts, limits = [float(len(flat))], [high]
    content = HistogramProto(
        min=low,
        max=high,
        num=len(flat),
        sum=sum(piece.sum().item() for piece in pieces),
        sum_squares=sum(piece.dot(piece).item() for piece in pieces),
        bucket_limit=limits,
        bucket=counts,
    )
    return [Summary.Value(tag=tag, histo=content)]


def session_start(config: Config, name: str) -> Summary.Value:
    """The setting of the run `name`, every field with its value, for the table of hyperparameters."""
    # Without a list of all that is compared TensorBoard makes one of what the runs have.
    start = SessionStartInfo(start_time_secs=time.time(), group_name=name)
    for key, value in _hyperparameters(config):
        if isinstance(value, bool):
            start.hparams[key].bool_value = value
        elif isinstance(value, str):
            start.hparams[key].string_value = value
        else:
            start.hparams[key].number_value = value
    return _session(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def session_end() -> Summary.Value:
    """That the training came to its end."""
    end = SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time())
    return _session(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _session(tag: str, content: HParamsPluginData) -> Summary.Value:
    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content), tensor=metadata.NULL_TENSOR)


def _hyperparameters(config: Config) -> Iterator[tuple[str, Option]]:
    """Fields and values; those of the network's own options with their names, and none that is not set."""
    values = asdict(config)
    for option, value in values.pop("model_options").items():
        yield f"model_options.{option}", value
    yield from ((key, value) for key, value in values.items() if value is not None)
