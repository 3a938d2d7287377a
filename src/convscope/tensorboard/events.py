"""Event files, as TensorBoard reads them: records of protocol buffers, one after the other.

PyTorch's SummaryWriter gives its events to a thread, where a full disk comes to light too late, or never. Here whoever
writes is told, and what was written before a `kill -9` stays.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from convscope.errors import ConvscopeError


@dataclass(frozen=True)
class EventFile:
    """One file of events. It is open only while it is written to, so nobody has to close it.

    Writing methods raise ConvscopeError where there is no room, or no permission.
    """

    path: Path

    @classmethod
    def begin(cls, folder: Path, *, first_step: int) -> "EventFile":
        """A new file, which counts from `first_step` on: later events of the folder's earlier files no longer do."""
        # TensorBoard reads a folder's files in the order of their names, and knows them by the word in the middle.
        file = cls(folder / f"events.out.tfevents.{len(event_files(folder)) + 1:06}")
        file._write(Event(file_version="brain.Event:2"))
        file._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))
        return file

    def write(self, step: int, values: Sequence[Summary.Value]) -> None:
        """Add values of `summaries`; `step` is the number of training steps up to then."""
        self._write(Event(step=step, summary=Summary(value=values)))

    def write_graph(self, graph: Any) -> None:
        """Add the graph of a network, a GraphDef."""
        self._write(Event(graph_def=graph.SerializeToString()))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise ConvscopeError(
                f"cannot write {self.path}: {error.strerror or error}: free some space, or leave --tensorboard out."
            ) from error


def event_files(folder: Path) -> list[Path]:
    """The files of events in a folder, the oldest first."""
    return sorted(folder.glob("*tfevents*"))
