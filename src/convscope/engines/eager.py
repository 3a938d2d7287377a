"""PyTorch itself as an engine: operation after operation, as in training."""

import torch
from torch import Tensor, nn

from convscope.data.preprocessing import Preprocessing
from convscope.engines.folding import folded
from convscope.models.layers import Classifier
from convscope.training.runtime import Runtime


class EagerFloat32:
    """The network as it was trained, in float32: every other engine is measured against it."""

    name = "pytorch-float32"

    def __init__(self, model: Classifier, preprocessing: Preprocessing, device: torch.device) -> None:
        """Take a trained model; it moves to `device` and into evaluation mode."""
        self._model = model.to(device).eval()
        self._preprocessing = preprocessing
        self._device = device

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes), on the CPU."""
        logits: Tensor = self._model(self._preprocessing(images.to(self._device)))
        return logits.cpu()


class EagerBFloat16:
    """A copy that computes in bfloat16: batch normalisation folded, weights and maps in channels-last order."""

    name = "pytorch-bfloat16"

    def __init__(self, model: Classifier, preprocessing: Preprocessing, device: torch.device) -> None:
        """Take a trained model and leave it as it is."""
        model = folded(model, channels=preprocessing.channels, size=preprocessing.size)
        self._model = Runtime(device, torch.bfloat16).prepare(model)
        for module in self._model.modules():
            # Norms that could not be folded keep float32: their variances lose too much in eight bits.
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(torch.bfloat16)
        self._preprocessing = preprocessing
        self._device = device

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes), on the CPU."""
        inputs = self._preprocessing(images.to(self._device))
        logits: Tensor = self._model(inputs.to(torch.bfloat16, memory_format=torch.channels_last))
        return logits.float().cpu()
