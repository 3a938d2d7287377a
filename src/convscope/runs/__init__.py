"""The run directory: what a training leaves behind, and how it is found, read and listed. Nothing here needs torch.

::

    runs/NAME/config.yaml                   the setting; `convscope train --config` with it repeats the run
             environment.json               versions, device, CPU, threads, start
             data.json                      classes, images of each split, how they are prepared
             history.csv                    a row an epoch
             alarms.json                    what the doctor raised alarm about while it was trained, unless left out
             metrics.json                   status and final figures, per class too
             predictions.npz                logits and labels of the test split
             examples.npz                   some of its images, small, for the report
             checkpoints/best.safetensors   the weights with the lowest validation loss
             checkpoints/last.pt            everything to resume from
             checkpoints/epoch-0001.safetensors   the weights after each epoch, and before the first, if asked for
             figures/*.png
             tensorboard/                   events, when they were asked for
             report.html                    and slides.html, look/, export/, when they were asked for
             inference.json, engines/       how fast each engine answers, and the network converted for them
"""

from convscope.runs.contents import COLUMNS
from convscope.runs.creation import RunExists, create_run, start_time
from convscope.runs.run import NEWEST, Run, list_runs

__all__ = ["COLUMNS", "NEWEST", "Run", "RunExists", "create_run", "list_runs", "start_time"]
