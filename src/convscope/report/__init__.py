"""Pages that can be handed on: one run, several compared, or a data set examined, each as a single HTML file."""

from convscope.report.data_page import write_data_page
from convscope.report.page import write_comparison, write_report

__all__ = ["write_comparison", "write_data_page", "write_report"]
