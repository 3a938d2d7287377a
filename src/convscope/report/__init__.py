"""Pages to be handed on: one run, several compared, a data set or a training examined; each is a single HTML file."""

from convscope.report.data_page import write_data_page
from convscope.report.page import write_comparison, write_report
from convscope.report.training_page import write_training_page

__all__ = ["write_comparison", "write_data_page", "write_report", "write_training_page"]
