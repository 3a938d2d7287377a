"""The exercises of the book: functions that a learner writes into a file, which is then checked."""

from convscope.learn.chapters import CHAPTERS, Chapter, find_chapter
from convscope.learn.checking import Outcome, check
from convscope.learn.exercise import Exercise, Wrong, expect_equal
from convscope.learn.stubs import write_stubs
from convscope.learn.work import BrokenFile, Work, read_work

__all__ = [
    "CHAPTERS",
    "BrokenFile",
    "Chapter",
    "Exercise",
    "Outcome",
    "Work",
    "Wrong",
    "check",
    "expect_equal",
    "find_chapter",
    "read_work",
    "write_stubs",
]
