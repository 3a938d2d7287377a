"""Optimizers, with weight decay kept away from the parameters it was not meant for."""

from torch import nn, optim


def build_optimizer(
    name: str,
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
    decay_norms_and_biases: bool = False,
) -> optim.Optimizer:
    """The optimizer `sgd`, `adam` or `adamw` over all parameters of `model`.

    Weight decay is an L2 penalty in sgd and adam, and decoupled in adamw (Loshchilov & Hutter, arXiv 1711.05101).
    Norms and biases have one dimension: shrinking them regularises nothing and moves the norm's scale towards 0,
    so they are spared (He et al., arXiv 1812.01187, §3.1) unless `decay_norms_and_biases`.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in model.parameters():
        (decayed if parameter.ndim > 1 or decay_norms_and_biases else spared).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    # fused: one pass over the parameters' memory a step, on every device that trains here.
    if name == "sgd":
        return optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)
    if name == "adam":
        return optim.Adam(groups, lr=lr, fused=True)
    if name == "adamw":
        return optim.AdamW(groups, lr=lr, fused=True)
    raise ValueError(f"unknown optimizer {name!r}: sgd, adam or adamw")
