"""Weights of another training: published ones fetched and checked, read without running code, fitted to a new task.

A network that has seen a million photographs brings filters for edges, textures and parts of things along, and
learns a new task from few images (Yosinski and others, How transferable are features in deep neural networks?,
NIPS 2014, arXiv 1411.1792). Only its last layer, which knew other classes, starts anew.
"""

import os
import re
import zipfile
from itertools import dropwhile
from pathlib import Path

import torch
from torch import Tensor, nn

from convscope.catalog import Weights, weights_entry
from convscope.catalog.weights import ADDRESS
from convscope.downloads import Progress, Unavailable, data_directory, download, file_digest
from convscope.errors import ConvscopeError, UserError
from convscope.files import atomic_path
from convscope.models.googlenet import Auxiliary, FromImageNet
from convscope.models.layers import Classifier

# DenseNet's files are older than its layers' names: they have denselayer1.norm.1 for denselayer1.norm1.
_OLD_NAME = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)")


def load_pretrained(
    model: Classifier,
    version: str = "imagenet",
    *,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Weights:
    """Give a network of `build_model` the published weights, and return their row of the catalogue.

    Its images are to have the row's `crop` as their size, and its `mean` and `std`. Where the network has other
    classes than the file, its last layer stays as it was drawn, and so do those of auxiliary classifiers;
    auxiliary classifiers that it does not have are left out. For one channel the first convolution's weights
    are summed over red, green and blue: a grey image gets the answer of its three equal channels.

    The file lies in the folder `weights` of the data directory, and is fetched where it is missing: from the
    published address, or from the one that the variable CONVSCOPE_WEIGHTS_ADDRESS puts in its place, such as a
    mirror in a closed network. Its checksum is looked at each time.

    Args:
        model: a network with 1 or 3 input channels; when an error is raised it stays as it was.
        version: `imagenet`, or for some `imagenet-v2`; see `catalog.WEIGHTS`.
        data_dir: the data directory; see `downloads.data_directory`.
        progress: told how far a download is.

    Raises:
        UserError: there are no such weights, they do not fit the network, or the file in the data directory is not
            the published one; that stays as it is.
        ConvscopeError: the file could not be fetched, or the data directory cannot be written.
    """
    row = weights_entry(model.name, version)
    channels = model.state_dict()[_first_convolution(model)].shape[1]
    if channels not in (1, 3):
        raise UserError(
            f"the weights of '{row.model}' are for colour or grey, not for {channels} channels: "
            f"give images with 3 channels or 1, or start without them."
        )
    if any(isinstance(layer, FromImageNet) for layer in model.modules()):
        raise UserError(
            f"transform_input undoes a normalisation that the weights of '{row.model}' do without, as the catalogue "
            f"gives them mean 0.5 and std 0.5: leave it out."
        )
    path = _fetch(row, data_directory(data_dir) / "weights" / row.file, progress)
    fit_weights(model, read_weights(path), path)
    return row


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of `torch.save`, of today's format (a zip archive) or the one before PyTorch 1.6.

    Raises:
        UserError: it is missing, damaged, or holds other things than tensors, perhaps code, which is not run.
    """
    try:
        # Mapped into memory, an archive's tensors are read when they are copied, and never twice in memory.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # What is no file of tensors makes the reader stumble in a dozen ways, and its messages advise to trust the file.
    except Exception as error:
        raise _unreadable(path) from error
    if not (isinstance(state, dict) and all(map(_is_weight, state, state.values()))):
        raise _unreadable(path)
    return state


def _is_weight(name: object, tensor: object) -> bool:
    """Whether an entry of a state dict is an ordinary tensor, neither sparse nor quantised, under a name."""
    ordinary = isinstance(tensor, Tensor) and tensor.layout == torch.strided and not tensor.is_quantized
    return isinstance(name, str) and ordinary


def fit_weights(
    model: Classifier, weights: dict[str, Tensor], path: Path, *, same_classes: bool = True
) -> tuple[str, ...]:
    """Give a network the weights that another training of it ended with, and return the layers that stay as drawn.

    The last layer stays as it was drawn where the classes are other ones, and so do those of auxiliary classifiers.
    Where images of another size make the first fully connected layer a different one, it and those after it stay,
    for they made sense together. Auxiliary classifiers that the network does not have are left out. The first
    convolution's weights are summed over red, green and blue for grey images, and spread over the three for colour.

    Args:
        model: when an error is raised it stays as it was.
        weights: a state dict.
        path: where they are from, for the words of errors.
        same_classes: whether equally many classes are the same classes.

    Raises:
        UserError: the weights do not fit the network, or nothing of them would be left.
    """
    state = model.state_dict()
    weights = {_OLD_NAME.sub(r"\1\2", name): tensor for name, tensor in weights.items()}
    weights = {name: tensor for name, tensor in weights.items() if name in state or not name.startswith("aux")}
    _fit_channels(weights, state, _first_convolution(model))
    drawn = _layers_to_draw(model, state, weights, same_classes=same_classes)
    for name, own in state.items():
        given = weights.pop(name, None)
        if given is None:
            # Files older than PyTorch 0.4.1 lack the counter, which only a norm without momentum would read.
            if not name.endswith(".num_batches_tracked"):
                raise _misfit(path, f"the file lacks {name}")
        elif name.rpartition(".")[0] in drawn:
            continue
        elif given.shape == own.shape:
            state[name] = given
        else:
            raise _misfit(path, f"{name} is {_shape(given)} in the file and {_shape(own)} here")
    if weights:
        raise _misfit(path, f"the file has {next(iter(weights))}")
    if all(name.rpartition(".")[0] in drawn for name in state):
        raise UserError(
            f"nothing of the weights in {path} can be used, because all layers of '{model.name}' depend on the classes "
            f"or the size of the images: start without the weights."
        )
    model.load_state_dict(state)
    return drawn


def _fetch(row: Weights, path: Path, progress: Progress | None) -> Path:
    """Where the file is, once it is there; checked, whoever put it there."""
    if not path.is_file():
        address = f"{(os.environ.get('CONVSCOPE_WEIGHTS_ADDRESS') or ADDRESS).rstrip('/')}/{row.file}"
        try:
            with atomic_path(path) as temporary:
                download(address, temporary, name=row.file, algorithm="sha256", digest=row.digest, progress=progress)
        except Unavailable as reason:
            raise ConvscopeError(
                f"cannot fetch {row.file}: {address} {reason}; get the file elsewhere and put it at {path}, or name "
                f"a mirror's address in the variable CONVSCOPE_WEIGHTS_ADDRESS."
            ) from reason
    elif not (digest := file_digest(path, "sha256")).startswith(row.digest):
        raise UserError(
            f"{path} is not the published file: its SHA-256 begins with {digest[:8]}, not with {row.digest}; "
            f"replace it, or move it away to have it fetched."
        )
    return path


def _unreadable(path: Path) -> UserError:
    return UserError(
        f"{path} is damaged or holds other things than tensors, perhaps code, and was not read: "
        f"replace it by the published file, or by a state dict saved with torch.save."
    )


def _misfit(path: Path, difference: str) -> UserError:
    return UserError(
        f"the weights in {path} are not for the network with these options ({difference}): "
        f"leave out those that change its layers, or start without the weights."
    )


def _first_convolution(model: nn.Module) -> str:
    """The key of its weights; empty when the network has none."""
    return next((f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)), "")


def _fit_channels(weights: dict[str, Tensor], state: dict[str, Tensor], first: str) -> None:
    """Fit the weights that see the image to grey or to colour, such that equal channels give the same answer."""
    if first in weights and weights[first].ndim == 4:
        (outputs, given, *kernel), wanted = weights[first].shape, state[first].shape[1]
        if (outputs, wanted, *kernel) != tuple(state[first].shape):
            return  # another network's, which is told later
        if (given, wanted) == (3, 1):
            weights[first] = weights[first].sum(dim=1, keepdim=True)
        elif (given, wanted) == (1, 3):
            weights[first] = weights[first].expand(-1, 3, -1, -1) / 3


def _layers_to_draw(
    model: nn.Module, state: dict[str, Tensor], weights: dict[str, Tensor], *, same_classes: bool
) -> tuple[str, ...]:
    """The names of the fully connected layers that cannot take the weights over, in the network's order."""

    def fits(name: str) -> bool:
        key = f"{name}.weight"
        return key not in weights or weights[key].shape == state[key].shape  # what is missing is told later

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    convolutions = [place for place, (_, layer) in enumerate(layers, start=1) if isinstance(layer, nn.Conv2d)]
    dense = [name for name, _ in layers[max(convolutions, default=0) :]]
    drawn = set(dropwhile(fits, dense))
    if not same_classes or dense[-1] in drawn:
        auxiliary = (f"{name}.fc2" for name, part in model.named_modules() if isinstance(part, Auxiliary))
        drawn.update([dense[-1], *auxiliary])
    return tuple(name for name, _ in layers if name in drawn)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))
