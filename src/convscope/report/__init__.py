"""Pages that can be handed on: one run, or several compared, each as a single HTML file."""

from convscope.report.page import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
