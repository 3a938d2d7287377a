"""What a person sees of a training while it goes on, and how Ctrl-C reaches it."""

import shlex
import signal
import sys
import time
from collections import Counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from convscope.cli.console import resume_command
from convscope.numbers import counted, duration
from convscope.training.meeting import Place

if TYPE_CHECKING:
    from convscope.experiment import Plan
    from convscope.experiment.session import Session
    from convscope.training.state import BatchRecord, EpochRecord

COLUMNS = ("epoch", "train loss", "train acc", "val loss", "val acc", "lr", "images/s", "time left")
WIDTHS = (7, 10, 9, 8, 7, 8, 8, 10)


class Progress:
    """Prints a row an epoch; on a terminal also a bar within the epoch."""

    def __init__(self, *, log_every: int | None = None, console: Console | None = None) -> None:
        """`log_every` asks for a line with the loss every so many batches."""
        self._console = console or Console(highlight=False, markup=False, soft_wrap=True)
        self._log_every = log_every
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} batches"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, loss="", speed="", visible=False)
        self.plan: Plan | None = None
        """What is being trained."""
        self._seconds = 0.0
        self._epochs_done = 0
        self._shown = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_start(self, plan: "Plan", session: "Session") -> None:
        """Say what is trained, and print the head of the table."""
        self.plan, self._seconds, self._epochs_done = plan, 0.0, 0
        config = plan.config
        self._console.print(
            f"{config.model} on {config.data}: {plan.parameters:,} parameters, {plan.train_images:,} images to train, "
            f"{plan.val_images:,} to validate\n"
            f"{counted(config.epochs, 'epoch')} of batches of {config.batch_size}, "
            f"seed {config.seed}; {plan.device}, {plan.precision}, "
            f"{_threads(plan)}; into {plan.run.path}"
        )
        if plan.skipped:
            reasons = Counter(file.reason for file in plan.skipped)
            self._console.print(
                f"left out {len(plan.skipped):,} files of {config.data} that cannot be used: "
                + ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(5))
                + f"; `convscope data show {shlex.quote(config.data)}` lists them"
            )
        if plan.drawn:
            self._console.print(
                f"starting anew: {', '.join(plan.drawn)}, whose weights in {config.pretrained} are for other classes "
                f"or another input size"
            )
        if plan.resting:
            every = config.unfreeze_every
            pace = "epoch" if every == 1 else f"{every} epochs"
            thaw = "" if every is None else f"; from the last one back, one more learns every {pace}"
            self._console.print(
                f"at rest: {', '.join(plan.resting)}, so that {plan.parameters - plan.resting_parameters:,} parameters "
                f"learn{thaw}"
            )
        if plan.no_kernels:
            self._console.print(f"without compiled kernels, which would be faster: {plan.no_kernels}")
            if "--debug" in sys.argv:
                from convscope.kernels.build import refusal

                self._console.print(refusal() or "", markup=False, highlight=False)
        if plan.resumed:
            self._console.print(f"resuming in epoch {plan.first_epoch}")
        self._row(COLUMNS)

    def on_batch(self, record: "BatchRecord") -> None:
        """Move the bar, at most ten times a second; print the line asked for."""
        if self._log_every and record.step % self._log_every == 0:
            self._console.print(
                f"epoch {record.epoch}, batch {record.step}/{record.steps}: loss {record.loss.item():.4f}, "
                f"lr {record.lr:.3g}"
            )
        now = time.monotonic()
        if self._bar.disable or (now - self._shown < 0.1 and record.step < record.steps):
            return
        self._shown = now
        self._bar.update(
            self._task,
            description=f"epoch {record.epoch}",
            completed=record.step,
            total=record.steps,
            loss=f"{record.loss.item():.3f}",
            speed=f"{record.images_per_second:,.0f}",
            visible=True,
        )

    def on_epoch(self, record: "EpochRecord") -> None:
        """Print the epoch's row."""
        assert self.plan is not None
        epochs = self.plan.config.epochs
        self._seconds += record.seconds
        self._epochs_done += 1
        left = (epochs - record.epoch) * self._seconds / self._epochs_done
        self._row(
            (
                f"{record.epoch}/{epochs}",
                f"{record.train_loss:.4f}",
                f"{record.train_accuracy:.2%}",
                f"{record.val_loss:.4f}",
                f"{record.val_accuracy:.2%}",
                f"{record.lr:.2e}",
                f"{record.images_per_second:,.0f}",
                duration(left),
            )
        )
        self._bar.reset(self._task, visible=False)

    def say(self, text: str) -> None:
        """Print a line of somebody else's between the rows."""
        self._console.print(text)

    def _row(self, cells: tuple[str, ...]) -> None:
        self._console.print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)))


class StopSignal:
    """Turns the first Ctrl-C, or SIGTERM, into an answer that the loop asks for after each batch."""

    def __init__(self, place: Place | None = None) -> None:
        """`place` among several processes, whose launcher hands on signals and ends all as soon as one has ended."""
        self._place = place
        self._asked = False
        self._previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._place is None:
            self._restore()
        else:
            for number in self._previous:  # what is left to say must be said, whatever the others do
                signal.signal(number, signal.SIG_IGN)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._place is not None:
            if self._place.index == 0 and number == signal.SIGINT:
                print("\nstopping after this batch and saving", file=sys.stderr, flush=True)
            return
        self._restore()
        print("\nstopping after this batch and saving; once more Ctrl-C to stop at once", file=sys.stderr, flush=True)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class Preparation:
    """Shows on standard error, as bars, how far a data set or weights are fetched and made ready."""

    amount: type[ProgressColumn] = DownloadColumn
    """How it says what is done."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes, or steps, are done with what `name` says; 0 where the total is not known."""
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), self.amount(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
        task = next((task for task in self._bar.tasks if task.description == name), None)
        identity = self._bar.add_task(name, total=None) if task is None else task.id
        self._bar.update(identity, completed=done, total=total or None)


class Examination(Preparation):
    """Likewise, how many steps of an examination are done."""

    amount = MofNCompleteColumn


def _threads(plan: "Plan") -> str:
    threads = counted(plan.threads, "thread")
    return threads if plan.processes == 1 else f"{plan.processes} processes of {threads}"


def how_to_resume(progress: Progress) -> str:
    """The command that goes on with a training that began and was stopped."""
    assert progress.plan is not None
    return resume_command(progress.plan.run)
