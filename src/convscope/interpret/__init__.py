"""Why a finished network answers as it does: activations, attribution maps, patches, embeddings, what a channel is for.

The public names are imported on first use, because all of them need torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.interpret.ablation import channel_effects, without_channels
    from convscope.interpret.activations import record
    from convscope.interpret.attribution import Method, explain
    from convscope.interpret.embedding import principal_components, tsne
    from convscope.interpret.features import nearest
    from convscope.interpret.filters import filter_pictures, first_filters
    from convscope.interpret.gradcam import default_layer
    from convscope.interpret.patches import exciting

# What bears its module's name, such as `features.features`, is not among them: once imported, the module has the name.
_ROOMS = {
    "ablation": ("channel_effects", "without_channels"),
    "activations": ("record",),
    "attribution": ("Method", "explain"),
    "embedding": ("principal_components", "tsne"),
    "features": ("nearest",),
    "filters": ("filter_pictures", "first_filters"),
    "gradcam": ("default_layer",),
    "patches": ("exciting",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Method",
    "channel_effects",
    "default_layer",
    "exciting",
    "explain",
    "filter_pictures",
    "first_filters",
    "nearest",
    "principal_components",
    "record",
    "tsne",
    "without_channels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
