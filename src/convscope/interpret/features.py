"""What the last layer of a network sees of images, and which images are alike by it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from convscope.data import ImageSet, Preprocessing
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.interpret.activations import evaluating
from convscope.interpret.sampling import batches_of
from convscope.models.layers import Classifier


@torch.no_grad()
def features(
    model: Classifier,
    preprocessing: Preprocessing,
    image_set: ImageSet,
    *,
    indices: Tensor | None = None,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Tensor:
    """The numbers by which the network tells images apart: float32 (N, num_features) on the CPU.

    `model.head` makes logits of them. `indices` int64 (N,) chooses images of the set; all of them when None.
    """
    indices = torch.arange(len(image_set)) if indices is None else indices
    batches = batches_of(
        model, preprocessing, image_set, indices, batch_size=batch_size, progress=progress, what="computing features"
    )
    with evaluating(model):
        return torch.cat([model.features(inputs).float().cpu() for inputs, _ in batches])


def nearest(features: Tensor, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Which of the `features` (N, F) point most nearly where those of one image, `query` (F,), point.

    The cosine of the angle between them compares what was seen, not how strongly.

    Returns:
        indices int64 (k,) and cosines float32 (k,), the most similar first; fewer than k where N is.

    Raises:
        UserError: `k` is below 1.
    """
    if k < 1:
        raise UserError(f"k is {k}: ask for at least 1 image.")
    similarity = F.normalize(features, dim=1) @ F.normalize(query, dim=0)  # (N,)
    found, indices = similarity.topk(min(k, len(features)))
    return indices, found
