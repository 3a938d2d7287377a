"""A folder of photos in which there is nothing to find, for the tests to spoil."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = 48
EACH = {"train": 24, "val": 6, "test": 6}
"""Photos of each class."""


def texture(seed: int) -> Image.Image:
    """A colourful texture of 12 x 12 random patches with noise, like no other."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(20, 236, (12, 12, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((SIZE, SIZE), Image.Resampling.BICUBIC), dtype=np.float64)
    return Image.fromarray((smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def clean_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 distinct photos of two classes in three parts: `clean/train/cat/0.png`. Not to be changed."""
    root = tmp_path_factory.mktemp("photos") / "clean"
    seed = 0
    for part, count in EACH.items():
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                texture(seed).save(root / part / name / f"{number}.png")
                seed += 1
    return root


@pytest.fixture
def photos(clean_photos: Path, tmp_path: Path) -> Path:
    """A copy of them, to be spoilt."""
    return shutil.copytree(clean_photos, tmp_path / "photos")
