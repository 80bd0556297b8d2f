"""Pages for a browser that show pictures before and after."""

from danet.pages.comparison import Comparison, compare, compare_files
from danet.pages.report import Report

__all__ = ["Comparison", "Report", "compare", "compare_files"]
