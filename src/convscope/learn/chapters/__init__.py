"""The chapters of the book, and the exercises of each: a module here of the same name, with underscores."""

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from convscope.errors import UserError, unknown
from convscope.learn.exercise import Exercise


@dataclass(frozen=True)
class Chapter:
    """A chapter: the page `docs/book/NN-NAME.md`."""

    number: int
    name: str
    title: str

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """In the order of the page."""
        module = import_module(f"{__name__}.{self.name.replace('-', '_')}")
        return cast("tuple[Exercise, ...]", module.EXERCISES)


CHAPTERS = tuple(
    Chapter(number, name, title)
    for number, (name, title) in enumerate(
        (
            ("images-as-tensors", "Images as tensors"),
            ("convolution", "Convolution"),
            ("pooling", "Pooling"),
            ("activations", "Activations"),
            ("classifier-and-loss", "The fully connected layer and the loss"),
            ("backpropagation", "Backpropagation"),
            ("training-loop", "The training loop"),
            ("optimizers-and-learning-rates", "Optimizers and learning rates"),
            ("overfitting", "Overfitting"),
            ("curves-and-confusion", "Curves and confusion matrices"),
            ("looking-inside", "Looking inside"),
            ("debugging", "Debugging"),
            ("lenet-to-vit", "From LeNet to ViT"),
            ("vgg", "VGG: depth by small kernels"),
            ("googlenet", "GoogLeNet: several kernels at once"),
            ("residual-and-dense", "Residual and dense connections"),
            ("squeeze-and-excitation", "Squeeze and excitation"),
            ("transfer-learning", "Transfer learning"),
            ("fashion-mnist-and-mnist", "FashionMNIST and MNIST"),
            ("your-own-data", "Your own data"),
            ("honest-evaluation", "Honest evaluation"),
        ),
        start=1,
    )
)


def find_chapter(name: str) -> Chapter:
    """The chapter called `convolution`, `2`, `02-convolution` or `02-convolution.md`.

    Raises:
        UserError: there is none.
    """
    wanted = name.lower().removesuffix(".md").replace("_", "-")
    for chapter in CHAPTERS:
        if wanted in (chapter.name, f"{chapter.number}", f"{chapter.number:02}", f"{chapter.number:02}-{chapter.name}"):
            return chapter
    if name.isdecimal():
        raise UserError(
            f"there is no chapter {name}: choose one from 1 to {len(CHAPTERS)}, as `convscope learn` lists them."
        )
    raise unknown("chapter", name, [chapter.name for chapter in CHAPTERS])


def find_exercise(name: str) -> Exercise:
    """The exercise of that name, which only one chapter has."""
    (found,) = [exercise for chapter in CHAPTERS for exercise in chapter.exercises if exercise.name == name]
    return found
