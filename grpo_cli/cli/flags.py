"""The flags that several verbs share."""

from typing import Annotated

import typer

from grpo_cli import __version__

KEEP_ORDER = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
}
"""Settings of a verb whose words and unknown flags arrive in `Context.args`, in their order.

A `list[str]` parameter would do the same, but Typer checks it with pydantic: 0.1 s of import.
"""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grpo {__version__}")
        raise typer.Exit


def _show_help(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.get_help()
        raise typer.Exit


NO_HELP_OPTION = {"help_option_names": []}
"""Click's own help option is None when it is not given, and Typer loads pydantic to check that."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only warnings and the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow code named in files to be imported.")]
Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
]
Help = Annotated[
    bool,
    typer.Option("-h", "--help", callback=_show_help, is_eager=True, help="Show this page."),
]
