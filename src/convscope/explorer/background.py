"""Work that takes longer than a person waits for: done once, in a thread of its own, and asked about meanwhile."""

from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from convscope.downloads import Progress
from convscope.explorer.recent import Recent

_KEPT = 64


class Job:
    """One piece of work, under way or done."""

    def __init__(self) -> None:
        self.progress = 0.0
        """0 to 1."""
        self.future: Future[Any] | None = None

    @property
    def ready(self) -> bool:
        """Whether it is done, well or not."""
        return self.future is not None and self.future.done()

    def result(self) -> Any:
        """What came of it, once it is ready; raises what it raised."""
        assert self.future is not None
        return self.future.result()


class Background:
    """One thread that does one job after the other."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explorer")
        self._jobs: Recent[Job] = Recent(_KEPT)
        self._asking = Lock()
        self._closing = Event()

    def ask(self, key: Hashable, work: Callable[[Progress], Any]) -> Job:
        """The job of this key; begun when it is asked for first. `work` is given what it tells its progress."""
        with self._asking:
            try:
                return self._jobs[key]
            except KeyError:
                job = self._jobs[key] = Job()

        def tell(what: str, done: int, total: int) -> None:
            if self._closing.is_set():
                raise CancelledError
            job.progress = done / total

        job.future = self._executor.submit(work, tell)
        return job

    def close(self) -> None:
        """Give up what is under way at its next step, and do not begin what waits."""
        self._closing.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
