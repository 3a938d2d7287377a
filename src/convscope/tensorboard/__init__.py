"""A training as events that TensorBoard shows, in the folder `tensorboard` of its run: `tensorboard --logdir runs`."""

from convscope.errors import UserError

try:
    from convscope.tensorboard.listener import Recorder, record_results
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "tensorboard":
        raise
    raise UserError(
        "there is nothing to write TensorBoard's events with (the package tensorboard is not installed): "
        'get it with `pip install "convscope[tensorboard]"`, or leave --tensorboard out.'
    ) from error

__all__ = ["Recorder", "record_results"]
