"""The networks."""

from dataclasses import dataclass

from convscope.errors import unknown


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One network of the catalogue."""

    name: str
    builder: str
    """Where the builder function is, as `module:function`."""
    summary: str
    paper: str
    year: int
    in_channels: int
    """Channels of the images the paper, or the article that made the network known, gave it."""
    input_size: int
    """Height and width of those images, in pixels."""
    least_size: int
    """The smallest height and width that leaves the last layer something to see."""
    parameters: int
    """Trainable parameters for `in_channels`, `input_size` and ten classes, as published."""


_LENET = "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition"
_VGG = "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition (arXiv 1409.1556)"
_VGG_NORM = (
    "Ioffe, Szegedy: Batch normalization (arXiv 1502.03167), in the blocks of Simonyan, Zisserman (arXiv 1409.1556)"
)
_EXPLAINER = "Wang et al.: CNN Explainer (arXiv 2004.15004)"

MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="linear",
            builder="convscope.models.linear:linear",
            summary="one fully connected layer on the pixels: the baseline every network has to beat",
            paper="Cox: The regression analysis of binary sequences (logistic regression)",
            year=1958,
            in_channels=1,
            input_size=28,
            least_size=1,
            parameters=7_850,
        ),
        ModelEntry(
            name="lenet5",
            builder="convscope.models.lenet:lenet5",
            summary="two convolutions and three fully connected layers: the first to read cheques",
            paper=_LENET,
            year=1998,
            in_channels=1,
            input_size=28,
            least_size=12,
            parameters=61_706,
        ),
        ModelEntry(
            name="simplenet",
            builder="convscope.models.simplenet:simplenet",
            summary="two convolutions and one fully connected layer, small enough to compute by hand",
            paper="a teaching network for CIFAR-10",
            year=2020,
            in_channels=3,
            input_size=32,
            least_size=4,
            parameters=25_578,
        ),
        ModelEntry(
            name="tinyvgg",
            builder="convscope.models.tinyvgg:tinyvgg",
            summary="VGG's rules at the size of FashionMNIST: two blocks of convolutions, two fully connected layers",
            paper=_VGG,
            year=2014,
            in_channels=1,
            input_size=28,
            least_size=4,
            parameters=467_818,
        ),
        ModelEntry(
            name="tinyvgg_explainer",
            builder="convscope.models.tinyvgg:tinyvgg_explainer",
            summary="the ten-channel network that CNN Explainer shows",
            paper=_EXPLAINER,
            year=2020,
            in_channels=3,
            input_size=64,
            least_size=16,
            parameters=19_920,
        ),
        ModelEntry(
            name="tinyvgg_bn",
            builder="convscope.models.tinyvgg:tinyvgg_bn",
            summary="three blocks of two convolutions with batch normalisation, dropout before the last layer",
            paper=_VGG_NORM,
            year=2015,
            in_channels=1,
            input_size=28,
            least_size=8,
            parameters=435_754,
        ),
    )
}


def model_entry(name: str) -> ModelEntry:
    """The catalogue's row for a model; a `UserError` names the nearest model when there is none."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]
