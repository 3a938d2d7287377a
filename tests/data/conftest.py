import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from convscope.data.idx import write_idx

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.fixture
def idx_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder in FashionMNIST's layout: 40 training and 20 test images of 4x4 pixels, four classes."""

    def make(suffix: str = "", **replaced: torch.Tensor) -> Path:
        folder = tmp_path / "own"
        folder.mkdir()
        for prefix, count in (("train", 40), ("t10k", 20)):
            parts = {
                "images-idx3": torch.arange(count * 16).view(count, 4, 4).to(torch.uint8),
                "labels-idx1": (torch.arange(count) % 4).to(torch.uint8),
            }
            for part, elements in parts.items():
                raw = folder / f"{prefix}-{part}-ubyte"
                write_idx(raw, replaced.get(f"{prefix}_{part[:6]}", elements))
                raw.with_name(raw.name + suffix).write_bytes(PACK[suffix](raw.read_bytes()))
                if suffix:
                    raw.unlink()
        return folder

    return make
