"""Right solutions of the exercises on activations, and mistakes that must be recognised."""

import torch
import torch.nn.functional as F
from torch import Tensor


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    return torch.where(x > 0, x, slope * x)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def merge_layers(weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> tuple[Tensor, Tensor]:
    return weight2 @ weight1, weight2 @ bias1 + bias2


def dead_units(inputs: Tensor) -> list[int]:
    return (inputs.amax(dim=0) <= 0).nonzero().flatten().tolist()


def _in_place(x: Tensor, slope: float) -> Tensor:
    x[x < 0] *= slope
    return x


def _numbers(where: Tensor) -> list[int]:
    return where.nonzero().flatten().tolist()


MISTAKES = [
    ("leaky_relu", lambda x, slope: x.relu(), "slope times x"),
    ("leaky_relu", lambda x, slope: torch.maximum(x, slope * x), "larger"),
    ("leaky_relu", lambda x, slope: x.relu() + slope * x.abs(), "gave"),
    ("leaky_relu", lambda x, slope: x.relu() + slope * (-x).relu(), "minus"),
    ("leaky_relu", lambda x, slope: F.leaky_relu(x), "0.01"),
    ("leaky_relu", lambda x, slope: torch.where(x < 0, x, slope * x), "places"),
    ("leaky_relu", _in_place, "changed"),
    ("gelu", lambda x: F.gelu(x, approximate="tanh"), "approximation"),
    ("gelu", lambda x: F.silu(x), "SiLU"),
    ("gelu", lambda x: x * (1 + torch.erf(x)) / 2, "root"),
    ("gelu", lambda x: x * torch.erf(x / 2**0.5), "from 0"),
    ("gelu", lambda x: (1 + torch.erf(x / 2**0.5)) / 2, "multiply"),
    ("gelu", lambda x: x * 1 + torch.erf(x / 2**0.5) / 2, "brackets"),
    ("gelu", lambda x: x * (1 + torch.erf(x / 2**1 / 2)) / 2, "twice"),
    ("merge_layers", lambda w1, b1, w2, b2: (w1 @ w2, w2 @ b1 + b2), "left"),
    ("merge_layers", lambda w1, b1, w2, b2: (w1 * w2, w2 @ b1 + b2), "@"),
    ("merge_layers", lambda w1, b1, w2, b2: (w2 @ w1, b1 + b2), "first bias"),
    ("merge_layers", lambda w1, b1, w2, b2: (w2 @ w1, w2 @ b1), "missing"),
    ("merge_layers", lambda w1, b1, w2, b2: w2 @ w1, "two tensors"),
    ("merge_layers", lambda w1, b1, w2, b2: (w2 @ w1, b2.add_(w2 @ b1)), "changed"),
    ("merge_layers", lambda w1, b1, w2, b2: (w2 @ b1 + b2, w2 @ w1), "first"),
    ("dead_units", lambda inputs: _numbers((inputs <= 0).any(dim=0)), "all"),
    ("dead_units", lambda inputs: _numbers(inputs.amax(dim=0) < 0), "exactly"),
    ("dead_units", lambda inputs: _numbers(inputs.sum(dim=0) <= 0), "largest"),
    ("dead_units", lambda inputs: _numbers((inputs <= 0).all(dim=1)), "rows"),
    ("dead_units", lambda inputs: _numbers(inputs.amax(dim=0) > 0), "others"),
    ("dead_units", lambda inputs: (inputs.amax(dim=0) <= 0).nonzero().tolist(), "flatten"),
    ("dead_units", lambda inputs: _numbers(inputs.relu_().sum(dim=0) == 0), "changed"),
    ("dead_units", lambda inputs: inputs.amax(dim=0) <= 0, "truth"),
    ("dead_units", lambda inputs: (inputs.amax(dim=0) <= 0).nonzero().flatten(), "tolist"),
]
