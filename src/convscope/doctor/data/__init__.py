"""The data doctor: faults of a data set that are better found before a training than after it."""

from convscope.doctor.data.examination import DataReport, examine

__all__ = ["DataReport", "examine"]
