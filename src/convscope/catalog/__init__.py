"""What exists: models, published weights and data sets, as data. Nothing here imports torch, so lists are instant."""

from convscope.catalog.data import DATA, DataArchive, DataEntry, DataFile, data_entry
from convscope.catalog.models import MODELS, ModelEntry, model_entry
from convscope.catalog.weights import WEIGHTS, Weights, weights_entry

__all__ = [
    "DATA",
    "MODELS",
    "WEIGHTS",
    "DataArchive",
    "DataEntry",
    "DataFile",
    "ModelEntry",
    "Weights",
    "data_entry",
    "model_entry",
    "weights_entry",
]
