"""Where training starts: one function per rule, each named after the people who proposed it.

A rule walks through a network, draws the weights of every layer it knows and returns the network; it is the
last line of a constructor.
"""

from collections.abc import Iterator
from typing import Literal, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def kaiming(network: Network, fan: Literal["fan_out", "fan_in"] = "fan_out") -> Network:
    """Draw weights for networks of ReLUs.

    Convolutions: normal with variance 2 / fan_out, which keeps the size of the gradients from layer to
    layer (He et al., Delving deep into rectifiers, arXiv 1502.01852, §2.2, equation 14), or 2 / fan_in,
    which keeps that of the activations (equation 10); where channels change little it is the same. Fully connected
    layers: normal(0, 0.01) (Krizhevsky et al., ImageNet classification, 2012, §5). With so small a last
    layer all classes are about equally likely, and the first loss is the ln(num_classes) of ignorance.
    Biases: zero. Norms keep PyTorch's start, scale one and shift zero: at first they only normalise.
    """
    for layer in _to_draw(network):
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=fan, nonlinearity="relu")
        else:
            nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network


def glorot(network: Network) -> Network:
    """Draw weights for networks of tanh.

    Convolutions and fully connected layers: uniform with variance 2 / (fan_in + fan_out), a compromise
    between keeping the size of what goes forward and of what comes back (Glorot & Bengio, Understanding the
    difficulty of training deep feedforward neural networks, AISTATS 2010, §4.2.1, equation 16). Biases:
    zero.
    """
    for layer in _to_draw(network):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network


def _to_draw(network: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """The layers with weights, but for those on the `meta` device: they have no values.

    To draw nothing for them PyTorch would import its compiler, which takes a second.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            yield module
