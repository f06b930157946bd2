"""A report: one HTML file that holds everything and loads nothing, made from run folders alone.

Neither torch nor a plotting library is imported: every training run writes its own at its end.
Why the charts are ours: docs/adr/0007-report-without-libraries.md.
"""

from grpo_cli.report.collect import collect
from grpo_cli.report.page import NAME, write

__all__ = ["NAME", "collect", "write"]
