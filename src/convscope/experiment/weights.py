"""Weights to start from: published ones, those of a run, or those in a file; and what is known of their training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from convscope.catalog import weights_entry
from convscope.catalog.weights import VERSIONS
from convscope.config import Config, Option
from convscope.data import Preprocessing, Splits
from convscope.data.preprocessing import Scaling
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.models.layers import Classifier
from convscope.models.pretrained import fit_weights, load_pretrained, read_weights
from convscope.runs import Run
from convscope.training.checkpoint import load_weights

Give = Callable[[Classifier, tuple[str, ...]], tuple[str, ...]]
"""Gives weights to a network for images of these classes, and answers with the layers that start anew nevertheless."""


def nothing(network: Classifier, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The network stays as it was drawn."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Source:
    """Weights to start from, and how images were prepared for them; the neutral form has none and knows nothing."""

    give: Give = nothing
    size: int | None = None
    channels: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @classmethod
    def trained_with(cls, preprocessing: Preprocessing, give: Give = nothing) -> "Source":
        """Weights of a training of ours."""
        known = preprocessing
        return cls(give=give, size=known.size, channels=known.channels, mean=known.mean, std=known.std)

    def prepare(self, splits: Splits, scaling: Scaling, *, size: int | None) -> Preprocessing:
        """The preprocessing that the weights expect, or, if nothing is known of it, `scaling` of the training images.

        Images are brought to the network's input size as a whole. Published accuracies were measured on the middle of
        larger photographs; that is another task. Where grey images meet weights for colour, whose first convolution is
        summed, their pixel is red, green and blue in one, and takes the average of the three means and deviations.
        """
        if not self.mean:
            return Preprocessing.for_training(
                splits.train, scaling, size=size, resize=splits.resize, statistics=splits.statistics
            )
        preprocessing = Preprocessing.for_training(
            splits.train,
            "unit",
            size=size,
            channels=self.channels,
            resize=splits.resize,
            statistics=splits.statistics,
        )
        channels, mean, std = preprocessing.channels, self.mean, self.std
        if channels != len(mean):
            mean, std = (fmean(mean),) * channels, (fmean(std),) * channels
        return replace(preprocessing, mean=mean, std=std)


def find_source(
    config: Config, options: Mapping[str, Option], *, data_dir: Path | None = None, progress: Progress | None = None
) -> Source:
    """What `config.pretrained` names, for the network `config.model` with its `options`.

    Raises:
        UserError: there are no such weights, the file cannot be read, or it is of another network.
    """
    if config.pretrained is None:
        return Source()
    if config.pretrained in VERSIONS:
        row = weights_entry(config.model, config.pretrained)

        def fetch(network: Classifier, classes: tuple[str, ...]) -> tuple[str, ...]:
            load_pretrained(network, row.version, data_dir=data_dir, progress=progress)
            return ()  # nothing but what depends on the classes, as with all published weights

        return Source(give=fetch, size=row.crop, mean=row.mean, std=row.std)
    path = Path(config.pretrained)
    if not path.exists():
        raise UserError(f"there are no weights '{path}': give {' or '.join(VERSIONS)}, a run, or a file of weights.")
    if path.is_dir():
        path = Run.open(path).best_weights
    if path.suffix in (".pth", ".pt"):
        weights = read_weights(path)
        return Source(give=lambda network, classes: fit_weights(network, weights, path))
    return _of_run(path, config.model, options)


def _of_run(path: Path, model: str, options: Mapping[str, Option]) -> Source:
    """The weights that a training of ours ended with."""
    weights, header = load_weights(path)
    try:
        trained, classes = (str(header["model"]), _bare(header["options"])), tuple(header["classes"])
        preprocessing = Preprocessing.from_dict(header["preprocessing"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the header of {path} does not describe its weights ({error!r}): restore the file, or train them again."
        ) from error
    if trained != (model, _bare(options)):
        raise UserError(
            f"the weights in {path} are of {_words(*trained)}, not of {_words(model, _bare(options))}: "
            f"take the same network with the same model_options, or start without the weights."
        )
    return Source.trained_with(
        preprocessing,
        lambda network, others: fit_weights(network, weights, path, same_classes=others == classes),
    )


def _bare(options: Mapping[str, Option]) -> dict[str, Option]:
    """Without the options that leave alone what the weights to be kept compute."""
    return {name: value for name, value in options.items() if name not in ("dropout", "auxiliary")}


def _words(model: str, options: Mapping[str, Option]) -> str:
    return " ".join([model, *(f"with {name} {value}" for name, value in sorted(options.items()))])
