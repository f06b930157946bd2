"""A help page: a heading, then sections of lines and of aligned rows."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from grpo_cli.cli.screen import columns, show

Rows = Iterable[Sequence[str | Text]]


class Page:
    """A help page: a heading, then sections of aligned rows."""

    def __init__(self, name: str, summary: str) -> None:
        self._parts: list[RenderableType] = [Text.assemble((name, "bold"), f"  {summary}")]

    def text(self, title: str, *lines: str) -> None:
        """Add a section of plain lines; without a title it continues the section before."""
        if title:
            self._parts.append(Text(f"\n{title}", style="bold"))
        self._parts += [Text(f"  {line}") for line in lines]

    def rows(self, title: str, rows: Rows, header: Sequence[str] = (), align: Any = "left") -> None:
        """Add a section of aligned rows; the first column stands out."""
        cells = [list(row) for row in rows]
        table = columns()
        table.show_header = bool(header)
        table.add_column("")
        for index in range(len(cells[0])):
            first, last = index == 0, index == len(cells[0]) - 1
            table.add_column(
                header[index] if header else "", style="cyan" if first else "",
                justify=align if first else "left", no_wrap=not last, overflow="fold",
            )  # fmt: skip
        for row in cells:
            table.add_row("", *(Text(cell) if isinstance(cell, str) else cell for cell in row))
        self._parts += [Text(f"\n{title}", style="bold"), table]

    def show(self) -> None:
        """Print the page."""
        show(*self._parts)
