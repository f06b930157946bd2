"""TensorBoard event files, one record per update.

Not through torch's `SummaryWriter`: that makes one record per metric and keeps a thread. Appending
to the file ourselves also means that a full disk is seen where it happens.
"""

import os
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from grpo_cli.sinks.logfile import LogFile
from grpo_cli.sinks.protocol import Metrics, samples, scalars

if TYPE_CHECKING:
    from grpo_cli.sinks.summaries import HParam, Value

# Histograms cost more than all numbers together, and are looked at rarely.
HISTOGRAM_EVERY = 10


class TensorBoard:
    """Curves, also laid out by subject, histograms, the config as text, settings in HParams.

    Args:
        folder: where the event file goes; one folder is one run.
        config_text: the run's configuration, YAML, for the Text tab.
        hparams: settings for the HParams tab; a None is left out.
        log_every: of every so many updates the first is logged; one with an evaluation always is.
        after: env steps and updates of the checkpoint that a resumed run goes on from; what was
            logged beyond it is no longer shown.
        swept: settings in which the trials of a sweep differ, which the HParams tab shows first.
    """

    def __init__(
        self,
        folder: Path,
        config_text: str,
        hparams: "Mapping[str, HParam]",
        log_every: int = 1,
        after: tuple[int, int] | None = None,
        swept: Collection[str] = (),
    ) -> None:
        # TensorBoard takes 0.2 s to import, which only a training run should pay.
        from tensorboard.summary.writer.record_writer import RecordWriter

        from grpo_cli.sinks import layout, summaries

        self._summaries = summaries
        self._log_every = log_every
        self._updates = 0 if after is None else after[1]
        self._file = LogFile(folder / _name(folder))
        self._records = RecordWriter(self._file)
        self._records.write(summaries.version())
        if after is not None:
            self._records.write(summaries.restart(after[0] + 1))
        start = [summaries.text("config", config_text), *summaries.session_start(hparams, swept)]
        self._record(0, [*start, layout.layout()])

    def write(self, step: int, metrics: Metrics) -> None:
        """Log this update if it is its turn; arrays go with every tenth turn."""
        turn, rest = divmod(self._updates, self._log_every)
        its_turn = rest == 0
        self._updates += 1
        if not its_turn and not any(name.startswith("eval/") for name in metrics):
            return
        to = self._summaries
        values = [to.scalar(name, x) for name, x in scalars(metrics).items()]
        if its_turn and turn % HISTOGRAM_EVERY == 0:
            values += [to.histogram(name, x) for name, x in samples(metrics).items()]
        self._record(step, values)

    def text(self, tag: str, text: str) -> None:
        """Put a text into the Text tab."""
        self._record(0, [self._summaries.text(tag, text, "")])

    def image(self, step: int, tag: str, encoded: bytes, size: tuple[int, int]) -> None:
        """Put a PNG or GIF of this width and height into the Images tab; a GIF moves there."""
        self._record(step, [self._summaries.image(tag, encoded, size)])

    def close(self) -> None:
        """Mark the session as ended and close the file."""
        self._record(0, self._summaries.session_end())
        self._file.close()

    def _record(self, step: int, values: "list[Value]") -> None:
        self._records.write(self._summaries.record(step, values))


def _name(folder: Path) -> str:
    """Name an event file so that it comes after those in the folder: they are read in order."""
    start = "events.out.tfevents."
    stamps = [path.name.removeprefix(start).partition(".")[0] for path in folder.glob(f"{start}*")]
    latest = max((int(stamp) for stamp in stamps if stamp.isdigit()), default=0)
    return f"{start}{max(int(time.time()), latest + 1)}.{socket.gethostname()}.{os.getpid()}"
