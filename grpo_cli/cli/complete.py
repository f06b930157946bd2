"""`grpo completion`: what the shell offers after a TAB.

The shells hand over the line up to the cursor and get whole words back. Nothing heavy is imported:
neither Hydra nor NumPy, so that a TAB takes a fifth of a second.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.pages import CompletionCommand
from grpo_cli.errors import ConfigError

COMPOSE = ("train", "sweep", "config", "bench", "doctor")
OF_RUNS = ("runs", "watch", "plot", "compare", "report", "inspect", "repro", "tensorboard")

BASH = r"""# grpo: put  eval "$(grpo completion bash)"  into ~/.bashrc
_grpo() {
    local line="${COMP_LINE:0:COMP_POINT}" word found broken
    word="${line##*[[:space:]]}"
    # bash breaks words at = and : and replaces the last part only.
    broken="${word%"${word##*[$COMP_WORDBREAKS]}"}"
    COMPREPLY=()
    while IFS= read -r found; do
        [ -n "$found" ] && COMPREPLY+=("${found#"$broken"}")
    done < <(grpo completion words -- "$line" 2>/dev/null)
}
complete -o nospace -o default -F _grpo grpo
"""
ZSH = r"""#compdef grpo
# grpo: put  eval "$(grpo completion zsh)"  into ~/.zshrc, after compinit
_grpo() {
    local -a found
    found=("${(@f)$(grpo completion words -- "${LBUFFER}" 2>/dev/null)}")
    compadd -Q -S '' -- "${(@)found:#}"
}
compdef _grpo grpo
"""
FISH = r"""# grpo: put  grpo completion fish | source  into ~/.config/fish/config.fish
complete -c grpo -f -a '(grpo completion words -- (commandline -cp) 2>/dev/null)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("completion", cls=CompletionCommand, context_settings=flags.KEEP_ORDER)(completion)


def completion(
    context: typer.Context, debug: flags.Debug = False, help: flags.Help = False
) -> None:
    """Print what makes a shell complete words: bash, zsh or fish."""
    with door(debug):
        shell, *rest = context.args or [""]
        if shell == "words":
            line = rest[-1] if rest else ""
            verbs = context.parent.command.commands  # type: ignore[union-attr, attr-defined]
            typer.echo("".join(f"{word}\n" for word in offered(line, verbs)), nl=False)
        elif shell in SCRIPTS:
            typer.echo(SCRIPTS[shell], nl=False)
        else:
            raise ConfigError("name a shell: bash, zsh or fish", "grpo completion bash")


def offered(line: str, verbs: dict[str, Any]) -> list[str]:
    """Return whole words that may stand at the end of a line; those that are done end in a blank.

    Args:
        line: up to the cursor.
        verbs: the commands by name.
    """
    *before, word = line.split(" ")
    before = [entry for entry in before if entry]
    if len(before) < 2:
        return _starting(word, verbs, " ")
    verb = before[1]
    if verb not in verbs:
        return []
    if word.startswith("-"):
        names = [name for param in verbs[verb].params for name in getattr(param, "opts", ())]
        return _starting(word, (name for name in names if name.startswith("--")), " ")
    if "=" in word:
        return _values(verb, word)
    if verb in COMPOSE:
        return [*_keys(word), *(_sweeps(word) if verb == "sweep" else [])]
    return _words(verb, word)


def _words(verb: str, word: str) -> list[str]:
    """Return what a verb takes that does not compose a config."""
    from grpo_cli.config import files
    from grpo_cli.config.env_ids import listed_ids
    from grpo_cli.config.meaning import VERBS
    from grpo_cli.config.schema import everyday

    if verb in VERBS:
        return _starting(word, (f"{key}=" for key in everyday(VERBS[verb])))
    if verb in OF_RUNS:
        return _starting(word, ["last", *_runs()], " ")
    known = {
        "presets": lambda: files.choices("preset"),
        "envs": listed_ids,
        "completion": lambda: SCRIPTS,
    }
    return _starting(word, known[verb](), " ") if verb in known else []


def _keys(word: str) -> list[str]:
    """Return keys: those of components when a dot, or a component's name, is there already."""
    from grpo_cli.config.meaning import train_keys
    from grpo_cli.config.schema import GROUPS

    plain = [key for key in dict.fromkeys([*GROUPS, *train_keys()]) if "." not in key]
    found = _starting(word, (f"{key}=" for key in plain))
    head = word.partition(".")[0]
    if "." in word or (len(found) == 1 and head in GROUPS):
        found += _starting(word, (f"{key}=" for key in train_keys() if "." in key))
    return found


def _sweeps(word: str) -> list[str]:
    from grpo_cli.config.schema import everyday
    from grpo_cli.config.sweep_schema import SweepConf

    return _starting(word, (f"sweep.{key}=" for key in everyday(SweepConf)))


def _values(verb: str, word: str) -> list[str]:
    """Return values for `key=`, or after the last comma of a sweep."""
    key, _, value = word.partition("=")
    done, comma, last = value.rpartition(",")
    before = f"{key}={done}{comma}"
    return [f"{before}{found}" for found in _starting(last, _possible(verb, key), " ")]


def _possible(verb: str, key: str) -> Iterable[str]:
    from grpo_cli.config import files
    from grpo_cli.config.env_ids import listed_ids
    from grpo_cli.config.meaning import VERBS
    from grpo_cli.config.rules import COMPONENT_RULES
    from grpo_cli.config.schema import GROUPS, everyday
    from grpo_cli.config.sweep_schema import SweepConf

    if key == "env":
        return listed_ids()
    if key in ("ckpt", "resume"):
        return ["last", "best", *_runs()] if key == "ckpt" else ["last", "auto", *_runs()]
    fields = everyday(VERBS[verb]) if verb in VERBS else everyday()
    if verb == "sweep" and key.startswith("sweep."):
        fields, key = everyday(SweepConf), key.removeprefix("sweep.")
    if key in fields:
        rule = fields[key].metadata["rule"]
        return rule.choices or (("true", "false") if fields[key].default in (True, False) else ())
    if key in GROUPS:
        return files.choices(key)
    rule = COMPONENT_RULES.get(key)
    return rule.choices if rule else ()


def _runs() -> list[str]:
    return sorted(str(file.parent) for file in Path("runs").glob("*/*/meta.json"))


def _starting(word: str, names: Iterable[str], end: str = "") -> list[str]:
    return [f"{name}{end}" for name in names if name.startswith(word)]
