"""What exists: the models and data sets Convscope knows, as data. Nothing here imports torch, so lists are instant."""

from convscope.catalog.data import DATA, DataEntry, DataFile, data_entry
from convscope.catalog.models import MODELS, ModelEntry, model_entry

__all__ = ["DATA", "MODELS", "DataEntry", "DataFile", "ModelEntry", "data_entry", "model_entry"]
