"""What the explorer explores: one or more runs, the images of the first one's data set, and work in the background."""

from collections.abc import Sequence
from pathlib import Path

from convscope.data import Splits
from convscope.downloads import Progress
from convscope.errors import ConvscopeError, UserError
from convscope.explorer.background import Background
from convscope.explorer.library import Library
from convscope.explorer.subject import Subject
from convscope.predict import splits_of
from convscope.runs import Run
from convscope.web.answers import Refused


class Explorer:
    """Runs by name, side by side on the same images."""

    def __init__(self, subjects: Sequence[Subject], splits: Splits | None) -> None:
        """Show runs, the first one's data set among them where it is to be had.

        Raises:
            UserError: two runs have one name, or their classes differ.
        """
        self.subjects = {subject.name: subject for subject in subjects}
        if len(self.subjects) < len(subjects):
            raise UserError("two of the runs have the same name: name each run once, or rename the directory of one.")
        self.first = subjects[0]
        self.classes = self.first.predictor().classes
        for subject in subjects:
            if subject.predictor().classes != self.classes:
                raise UserError(
                    f"the runs {self.first.name} and {subject.name} know different classes, so no image suits both: "
                    f"name one of them at a time."
                )
        self.images = Library(splits, [subject.predictor().preprocessing for subject in subjects])
        self.background = Background()

    @classmethod
    def open(
        cls,
        runs: Sequence[Run],
        *,
        device: str = "auto",
        data_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> tuple["Explorer", ConvscopeError | None]:
        """Read networks and data; the error tells why there is no data set, where that is so.

        Raises:
            UserError: a run has no weights, or the runs do not suit each other.
        """
        subjects = [Subject(run, device) for run in runs]
        predictor = subjects[0].predictor()
        try:
            splits = splits_of(runs[0], predictor, data_dir=data_dir, progress=progress)
        except ConvscopeError as error:
            return cls(subjects, None), error
        return cls(subjects, splits), None

    def subject(self, run: str) -> Subject:
        """The run of that name."""
        if run not in self.subjects:
            raise Refused(f"there is no run '{run}' here: choose from {', '.join(self.subjects)}.", 404)
        return self.subjects[run]
