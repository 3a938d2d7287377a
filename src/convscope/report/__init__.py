"""Pages to be handed on: one run, several compared, a data set or a training examined; each is a single HTML file."""

from convscope.report.comparison_page import write_comparison, write_comparison_slides
from convscope.report.data_page import write_data_page
from convscope.report.run_page import write_report, write_slides
from convscope.report.training_page import write_training_page

__all__ = [
    "write_comparison",
    "write_comparison_slides",
    "write_data_page",
    "write_report",
    "write_slides",
    "write_training_page",
]
