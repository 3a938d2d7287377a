"""A run's network as a file for programs that know nothing of Convscope."""

from convscope.export.check import Check
from convscope.export.export import Exported, export_run
from convscope.export.formats import FORMATS, FormatName

__all__ = ["FORMATS", "Check", "Exported", "FormatName", "export_run"]
