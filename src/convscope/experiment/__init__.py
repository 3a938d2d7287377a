"""From a setting to finished runs and their comparison: the only place where data, models, training and runs meet."""

from convscope.experiment.comparison import Comparison, Row, compare_runs, compare_settings
from convscope.experiment.fitting import assist
from convscope.experiment.results import evaluate
from convscope.experiment.training import Observer, Plan, resume, train

__all__ = [
    "Comparison",
    "Observer",
    "Plan",
    "Row",
    "assist",
    "compare_runs",
    "compare_settings",
    "evaluate",
    "resume",
    "train",
]
