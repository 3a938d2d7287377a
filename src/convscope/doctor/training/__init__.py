"""The doctor for a training that has not begun: whether it can learn, how fast it should, and what it costs."""

from convscope.doctor.training.examination import TrainingReport, examine

__all__ = ["TrainingReport", "examine"]
