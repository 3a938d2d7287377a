"""The forms in which tensors go out: as they are in float32, as PNG pictures, as heat maps and numbers in JSON."""

import base64
import io
import math
from collections.abc import Mapping

import torch
from PIL import Image
from torch import Tensor

from convscope.web.answers import Answer

FLOATS = "application/octet-stream"
PNG = "image/png"


def floats(parts: Mapping[str, Tensor]) -> Answer:
    """Tensors by name, one after the other, little-endian; `X-Parts: weight:32,1,3,3;bias:32` tells them apart.

    Of a single nameless tensor `X-Shape: 32,28,28` tells the shape.
    """
    shapes = {name: ",".join(map(str, part.shape)) for name, part in parts.items()}
    body = b"".join(part.detach().cpu().float().contiguous().numpy().astype("<f4").tobytes() for part in parts.values())
    if list(parts) == [""]:
        return Answer(body, FLOATS, {"X-Shape": shapes[""]})
    return Answer(body, FLOATS, {"X-Parts": ";".join(f"{name}:{shape}" for name, shape in shapes.items())})


def png(pixels: Tensor, most: int | None = None) -> Answer:
    """A picture of uint8 (C, H, W), grey or in colour; at most `most` pixels a side, if given."""
    channels = pixels.permute(1, 2, 0).contiguous().numpy()  # (H, W, C)
    image = Image.fromarray(channels[:, :, 0] if channels.shape[2] == 1 else channels)
    if most is not None:
        image.thumbnail((most, most))
    file = io.BytesIO()
    image.save(file, "PNG")
    return Answer(file.getvalue(), PNG)


def numbers(values: Tensor) -> list[float | None]:
    """A vector for JSON, which has no word for NaN and infinity: None stands there instead."""
    return [value if math.isfinite(value) else None for value in values.double().tolist()]


def heat(maps: Tensor, low: Tensor, high: Tensor) -> str:
    """Maps (K, H, W) as base64 of uint8: 0 is each map's `low` (K,), 255 its `high` (K,)."""
    span = (high - low).clamp_min(torch.finfo(torch.float32).tiny)
    shares = (maps - low[:, None, None]) / span[:, None, None]
    levels = shares.nan_to_num(0.0, 1.0, 0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
    return base64.b64encode(levels.contiguous().numpy().tobytes()).decode()
