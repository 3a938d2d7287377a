"""Right solutions of the exercises on transfer learning, and mistakes that must be recognised."""

from torch import Tensor, nn


def stage_rates(lr: float, *, decay: float, stages: int) -> list[float]:
    return [lr * decay ** (stages - 1 - stage) for stage in range(stages)]


def rest_all_but_head(model: nn.Module, head: nn.Module) -> None:
    model.requires_grad_(False).eval()
    head.requires_grad_(True).train()


def grey_kernels(weight: Tensor) -> Tensor:
    return weight.sum(dim=1, keepdim=True)


def _only_gradients(model: nn.Module, head: nn.Module) -> None:
    model.train().requires_grad_(False)
    head.requires_grad_(True)


def _only_modes(model: nn.Module, head: nn.Module) -> None:
    model.eval()
    head.train()


def _head_too(model: nn.Module, head: nn.Module) -> None:
    model.requires_grad_(False).eval()
    head.train()


def _head_evaluates(model: nn.Module, head: nn.Module) -> None:
    model.requires_grad_(False).eval()
    head.requires_grad_(True)


def _norms_only(model: nn.Module, head: nn.Module) -> None:
    model.train().requires_grad_(False)
    head.requires_grad_(True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _in_place(weight: Tensor) -> Tensor:
    weight[:, 0] += weight[:, 1] + weight[:, 2]
    return weight[:, :1]


MISTAKES = [
    ("stage_rates", lambda lr, *, decay, stages: stage_rates(lr, decay=decay, stages=stages)[::-1], "order"),
    ("stage_rates", lambda lr, *, decay, stages: [lr * decay ** (stages - n) for n in range(stages)], "exponent"),
    ("stage_rates", lambda lr, *, decay, stages: [lr * decay * n for n in range(stages)], "power"),
    (
        "stage_rates",
        lambda lr, *, decay, stages: [lr / decay ** (stages - 1 - n) for n in range(stages)],
        "do not divide",
    ),
    ("rest_all_but_head", _only_gradients, "running mean"),
    ("rest_all_but_head", _only_modes, "optimizer"),
    ("rest_all_but_head", _head_too, "nothing learns"),
    ("rest_all_but_head", _head_evaluates, "evaluation mode"),
    ("rest_all_but_head", _norms_only, "dropout"),
    ("grey_kernels", lambda weight: weight.mean(dim=1, keepdim=True), "third"),
    ("grey_kernels", lambda weight: weight.sum(dim=1), "keepdim"),
    ("grey_kernels", lambda weight: weight[:, :1], "red"),
    ("grey_kernels", lambda weight: weight[:, 1:2], "green"),
    ("grey_kernels", lambda weight: weight.sum(dim=0, keepdim=True), "output"),
    ("grey_kernels", _in_place, "changed"),
]
