"""Optimizers: each parameter in a group with the weight decay and the learning rate that it is meant to have."""

from torch import nn, optim

from convscope.models.layers import Classifier


def build_optimizer(
    name: str,
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
    decay_norms_and_biases: bool = False,
    stage_lr_decay: float = 1.0,
) -> optim.Optimizer:
    """The optimizer `sgd`, `adam` or `adamw` over all parameters of `model`.

    `lr` is the head's learning rate; from each stage to the one before it, it is multiplied by `stage_lr_decay`
    (discriminative fine-tuning: Howard & Ruder, arXiv 1801.06146, §3.2). Each group keeps its factor as `lr_scale`.

    Weight decay is an L2 penalty in sgd and adam, and decoupled in adamw (Loshchilov & Hutter, arXiv 1711.05101).
    Norms and biases have one dimension: shrinking them regularises nothing and moves the norm's scale towards 0,
    so they are spared (He et al., arXiv 1812.01187, §3.1) unless `decay_norms_and_biases`.
    """
    stages = [*model.stages().values()] if isinstance(model, Classifier) else [model]
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for number, stage in enumerate(stages, start=1):
        lr_scale = stage_lr_decay ** (len(stages) - number)
        for parameter in stage.parameters():
            decayed = parameter.ndim > 1 or decay_norms_and_biases
            groups.setdefault((lr_scale, decayed), []).append(parameter)
    settings = [
        {"params": parameters, "weight_decay": weight_decay if decayed else 0.0, "lr_scale": lr_scale}
        for (lr_scale, decayed), parameters in groups.items()
    ]
    # fused: one pass over the parameters' memory a step, on every device that trains here.
    if name == "sgd":
        return optim.SGD(settings, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)
    if name == "adam":
        return optim.Adam(settings, lr=lr, fused=True)
    if name == "adamw":
        return optim.AdamW(settings, lr=lr, fused=True)
    raise ValueError(f"unknown optimizer {name!r}: sgd, adam or adamw")
