"""Sinks receive what training measures: files for machines, a dashboard or lines for people.

A sink never computes anything the training needs, and never stops it: a full disk costs the log,
not the run. `train` calls them once per update; `cli` makes the `View`.
"""

from grpo_cli.sinks.groups import Groups
from grpo_cli.sinks.jsonl import Jsonl
from grpo_cli.sinks.protocol import Metrics, Sink
from grpo_cli.sinks.tensorboard import TensorBoard
from grpo_cli.sinks.view import Facts, View

__all__ = ["Facts", "Groups", "Jsonl", "Metrics", "Sink", "TensorBoard", "View"]
