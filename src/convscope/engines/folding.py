"""Batch normalisation taken into the convolution before it: the same function of the image in half the passes.

In evaluation a norm multiplies each channel by a number and adds another (Ioffe & Szegedy, arXiv 1502.03167, §3.1), and
so does a convolution that has its weights multiplied and its bias changed. That holds where nobody but the norm reads
what the convolution makes; DenseNet's norms, which come before their convolutions, mostly stay.
"""

import copy
from collections import Counter

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from convscope.models.layers import Classifier
from convscope.models.tracing import Step, Trace


def folded(model: Classifier, *, channels: int, size: int) -> Classifier:
    """A copy in evaluation mode, for images (N, channels, size, size), that computes the same up to rounding."""
    model = copy.deepcopy(model).eval()
    steps: dict[str, Step] = {}
    example = torch.zeros(1, channels, size, size, device=next(model.parameters()).device)

    def keep(step: Step) -> None:
        steps[step.name] = step

    with torch.no_grad(), Trace(model, keep):
        model(example)
    readers = Counter(source for step in steps.values() for source in step.sources)
    for norm in steps.values():
        if not isinstance(norm.layer, nn.BatchNorm2d):
            continue
        before = steps.get(norm.sources[0] or "")
        if before is not None and isinstance(before.layer, nn.Conv2d) and readers[before.name] == 1:
            model.set_submodule(before.name, fuse_conv_bn_eval(before.layer, norm.layer))
            model.set_submodule(norm.name, nn.Identity())
    return model
