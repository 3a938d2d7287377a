"""What changes when a channel is switched off: what the network loses with it is what the channel was for.

Cutting out parts to learn their purpose is old; Morcos et al., On the importance of single directions for
generalization, ICLR 2018, arXiv 1803.06959, do it to single channels. That nothing changes does not mean that a channel
sees nothing: others may see the same.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convscope.downloads import Progress
from convscope.errors import unknown
from convscope.interpret.activations import evaluating
from convscope.interpret.rows import check_channels, find_layer
from convscope.models.summary import Layer, summarise
from convscope.models.tracing import Step, Trace, is_made_of_others


@dataclass(frozen=True, eq=False)
class ChannelEffects:
    """What single channels of a layer are worth to a network, measured on N images of K classes."""

    channels: tuple[int, ...]
    """The c channels that were switched off, one at a time."""
    labels: Tensor
    """int64 (N,)."""
    probability: Tensor
    """float32 (N,), what the whole network gives each image's own class."""
    probability_without: Tensor
    """float32 (c, N), likewise without each of the channels."""
    right: Tensor
    """bool (N,), whether the whole network names the own class."""
    right_without: Tensor
    """bool (c, N), likewise without each of the channels."""

    @property
    def accuracy(self) -> float:
        """Of the whole network on these images."""
        return self.right.float().mean().item()

    @property
    def accuracy_change(self) -> Tensor:
        """float32 (c,), accuracy without each channel less that of the whole network."""
        return self.right_without.float().mean(dim=1) - self.accuracy

    @property
    def probability_change(self) -> Tensor:
        """float32 (c,), likewise the mean probability of the own class."""
        return (self.probability_without - self.probability).mean(dim=1)

    def by_class(self, num_classes: int) -> Tensor:
        """The change of that probability for each class, float32 (c, K); NaN where a class has no image."""
        members = torch.nn.functional.one_hot(self.labels, num_classes).float()  # (N, K)
        return (self.probability_without - self.probability) @ members / members.sum(dim=0)


@contextmanager
def without_channels(model: nn.Module, layer: str, channels: Iterable[int]) -> Iterator[None]:
    """Inside, these channels of the layer's output are zero, whatever the network is asked.

    Raises:
        UserError: the layer has no such channel; or, at the end, the network has no such layer.
    """
    silenced, seen = list(channels), dict[str, None]()

    def see(step: Step) -> Tensor | None:
        seen[step.name] = None
        if step.name != layer:
            return None
        output = step.output.clone()  # a layer's output may be the tensor that it has read
        output[:, check_channels(layer, output.shape[1], silenced)] = 0
        return output

    with Trace(model, see):
        yield
    if seen and layer not in seen:
        raise unknown("layer", layer, seen)


@torch.no_grad()
def channel_effects(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    layer: str,
    *,
    channels: Iterable[int] | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> ChannelEffects:
    """Switch off one channel of a layer after the other and see what becomes of the answers.

    `inputs` are float32 (N, C, H, W), as the network takes them and on its device; `labels` int64 (N,). The layer is
    given by its name in the network's summary; of its `channels` all are tried when None. `progress` is told how many
    images are done.

    Raises:
        UserError: no such layer or channel.
    """
    shape = (inputs.shape[1], inputs.shape[2], inputs.shape[3])
    layers = summarise(model, shape).layers
    chosen = check_channels(layer, find_layer(layers, layer).output_shape[0], channels)
    lasting = _unaffected(model, layers, layer)
    read = _read_by_others(layers, lasting) | {layer}
    whole, without = [], []
    with evaluating(model):
        for batch in torch.split(inputs, batch_size):
            answer, outputs = _outputs(model, batch, lasting, read)
            whole.append(answer)
            answers = []
            with _constant(model, outputs):
                for channel in chosen:
                    with without_channels(model, layer, [channel]):
                        answers.append(model(batch))
            without.append(torch.stack(answers))  # (c, B, K)
            if progress is not None:
                progress(f"switching off channels of {layer}", sum(map(len, whole)), len(inputs))
    logits, others = torch.cat(whole).float().cpu(), torch.cat(without, dim=1).float().cpu()  # (N, K), (c, N, K)
    labels = labels.cpu()
    own = labels.expand(len(chosen), -1)[:, :, None]  # (c, N, 1)
    return ChannelEffects(
        channels=tuple(chosen),
        labels=labels,
        probability=logits.softmax(dim=1).gather(1, labels[:, None])[:, 0],
        probability_without=others.softmax(dim=2).gather(2, own)[:, :, 0],
        right=logits.argmax(dim=1) == labels,
        right_without=others.argmax(dim=2) == labels,
    )


def _unaffected(model: nn.Module, layers: Sequence[Layer], layer: str) -> list[str]:
    """Names of the largest modules that give the same whatever becomes of a layer's output, the layer's own among them.

    They need to be computed only once; most of a network does, where the layer is deep in it.
    """
    affected = {layer}
    for row in layers:
        if affected.intersection(row.inputs):
            affected.add(row.name)
    # A module that is asked twice gives two answers, and no constant.
    twice = {row.name.partition(":")[0] for row in layers if ":" in row.name}
    places = twice | {name.partition(":")[0] for name in affected}

    def search(parent: str, module: nn.Module) -> Iterator[str]:
        for child_name, child in module.named_children():
            name = f"{parent}{child_name}"
            # A module that has others inside, and the layer's name, is where the layer, a junction, comes about.
            itself = name == layer and name not in twice and not is_made_of_others(child)
            if itself or not any(place == name or place.startswith(f"{name}.") for place in places):
                yield name
            else:
                yield from search(f"{name}.", child)

    return list(search("", model))


def _read_by_others(layers: Sequence[Layer], modules: Sequence[str]) -> set[str]:
    """Those of the modules whose output is read outside of them all."""

    def owner(row: str) -> str | None:
        place = row.partition(":")[0]
        return next((name for name in modules if place == name or place.startswith(f"{name}.")), None)

    return {owner(name) or name for row in layers if owner(row.name) is None for name in row.inputs}


def _outputs(
    model: nn.Module, batch: Tensor, names: Iterable[str], read: Collection[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The network's answer, and what these modules gave, those that were asked.

    Where nobody will read it, it is zeros that take no memory: all maps of a deep network would take gigabytes.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        # A copy, for the next layer may work in place.
        outputs[name] = output.clone() if name in read else output.new_zeros(1).expand(output.shape)

    with ExitStack() as hooks:
        for name in names:
            hook = model.get_submodule(name).register_forward_hook(lambda _m, _x, y, name=name: keep(name, y))
            hooks.callback(hook.remove)
        logits: Tensor = model(batch)
    return logits, outputs


class _Constant(nn.Module):
    """Gives one tensor, whatever it is asked."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, *_: object) -> Tensor:
        return self.output


@contextmanager
def _constant(model: nn.Module, outputs: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, these modules give the tensors and compute nothing."""
    modules = {name: model.get_submodule(name) for name in outputs}
    try:
        for name, output in outputs.items():
            model.set_submodule(name, _Constant(output))
        yield
    finally:
        for name, module in modules.items():
            model.set_submodule(name, module)
