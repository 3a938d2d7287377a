"""Classic convolutional networks: written out in full, trained fast, opened up.

The public names, imported on first use so that `import convscope` costs nothing:

    from convscope import Config, Predictor, Run, build_model, compare_settings, evaluate, load_splits, train

    run = train(Config(data="fashion-mnist-mini", model="tinyvgg_bn", epochs=3))
    run.metrics()["test"]["top1"]
    Predictor.from_run(run).predict("shirt.png")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope import plots
    from convscope.config import Config
    from convscope.data import Augmentation, Batches, ImageSet, Preprocessing, Splits, load_splits
    from convscope.errors import ConvscopeError, UserError
    from convscope.experiment import Comparison, compare_runs, compare_settings, evaluate, resume, train
    from convscope.export import Exported, export_run
    from convscope.kernels.acceleration import accelerate, deaccelerate
    from convscope.metrics import classification_report
    from convscope.models import build_model
    from convscope.models.pretrained import load_pretrained
    from convscope.models.summary import summarise
    from convscope.predict import Prediction, Predictor
    from convscope.recipes import load_config, load_recipe, recipe_names
    from convscope.report import write_comparison, write_comparison_slides, write_report, write_slides
    from convscope.runs import Run, list_runs
    from convscope.training.checkpoint import MemoryCheckpoints
    from convscope.training.loop import fit
    from convscope.training.optimizers import build_optimizer
    from convscope.training.runtime import Runtime
    from convscope.training.schedules import build_schedule

_HOMES = {
    "config": ("Config",),
    "data": ("Augmentation", "Batches", "ImageSet", "Preprocessing", "Splits", "load_splits"),
    "errors": ("ConvscopeError", "UserError"),
    "experiment": ("Comparison", "compare_runs", "compare_settings", "evaluate", "resume", "train"),
    "export": ("Exported", "export_run"),
    "kernels.acceleration": ("accelerate", "deaccelerate"),
    "metrics": ("classification_report",),
    "models": ("build_model",),
    "models.pretrained": ("load_pretrained",),
    "models.summary": ("summarise",),
    "predict": ("Prediction", "Predictor"),
    "recipes": ("load_config", "load_recipe", "recipe_names"),
    "report": ("write_comparison", "write_comparison_slides", "write_report", "write_slides"),
    "runs": ("Run", "list_runs"),
    "training.checkpoint": ("MemoryCheckpoints",),
    "training.loop": ("fit",),
    "training.optimizers": ("build_optimizer",),
    "training.runtime": ("Runtime",),
    "training.schedules": ("build_schedule",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Augmentation",
    "Batches",
    "Comparison",
    "Config",
    "ConvscopeError",
    "Exported",
    "ImageSet",
    "MemoryCheckpoints",
    "Prediction",
    "Predictor",
    "Preprocessing",
    "Run",
    "Runtime",
    "Splits",
    "UserError",
    "accelerate",
    "build_model",
    "build_optimizer",
    "build_schedule",
    "classification_report",
    "compare_runs",
    "compare_settings",
    "deaccelerate",
    "evaluate",
    "export_run",
    "fit",
    "list_runs",
    "load_config",
    "load_pretrained",
    "load_recipe",
    "load_splits",
    "plots",
    "recipe_names",
    "resume",
    "summarise",
    "train",
    "write_comparison",
    "write_comparison_slides",
    "write_report",
    "write_slides",
]


def __getattr__(name: str) -> Any:
    if name == "plots":
        return import_module("convscope.plots")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
