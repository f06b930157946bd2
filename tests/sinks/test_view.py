"""What a person sees: the dashboard on a terminal, lines elsewhere, warnings always."""

import errno
import io
import logging

import pytest
from rich.console import Console

from grpo_cli.sinks import Facts, View
from grpo_cli.sinks.dashboard import CURVES, REDRAW_EVERY_S, Dashboard, compose
from grpo_cli.sinks.history import History

FACTS = Facts("CartPole-v1", "runs/CartPole-v1/grpo-s0", 1_000_000, 475.0, 7, 8, 4, "native")


def metrics(i: int) -> dict[str, float]:
    return {
        "rollout/ep_rew_mean": 20.0 + i,
        "group/reward_std": 5.0,
        "group/reward_min": 15.0 + i,
        "group/reward_max": 25.0 + i,
        "group/frac_reward_zero_std": 0.75,
        "train/approx_kl": 0.0123,
        "train/entropy": 0.61,
        "train/clip_ratio/low_mean": 0.04,
        "train/clip_ratio/high_mean": 0.05,
        "train/grad_norm": 0.5,
        "rollout/ep_len_mean": 20.0 + i,
        "time/env_s": 0.01,
        "time/act_s": 0.01,
        "time/sample_s": 0.03,
        "time/update_s": 0.02,
    }


EVALUATION = {
    "eval/greedy/mean_reward": 480.0,
    "eval/greedy/std_reward": 12.0,
    "eval/sampled/mean_reward": 431.5,
    "eval/sampled/std_reward": 30.0,
}


def history(updates: int) -> History:
    result = History(FACTS, CURVES)
    for i in range(updates):
        result.add(10_000 * (i + 1), metrics(i) | (EVALUATION if i == 40 else {}))
    return result


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 12), (20, 5), (300, 80)])
@pytest.mark.parametrize("updates", [0, 1, 60])
def test_the_picture_fits_the_window(size, updates):
    width, height = size
    rows = compose(history(updates), width, height - 1)
    assert len(rows) <= height - 1
    assert max(sum(len(text) for text, _ in row) for row in rows) <= width


def test_the_picture_says_what_matters_at_80_by_24():
    picture = "\n".join("".join(text for text, _ in row) for row in compose(history(60), 80, 23))
    for words in (
        "CartPole-v1  seed 7  4 groups × 8 members  native",
        "600k / 1M steps   60 %",
        "return 73.0",  # the mean of the last 13 of 20..79
        "┄ stop at 475",
        "dead groups       75 %",
        "KL               0.012",
        "entropy          0.610",
        "clipped low        4 %",
        "clipped high       5 %",
        "update 40%",
        "greedy 480.0 ✓ ± 12.0  sampled 431.5 ± 30.0",
        "▲ 75 % of groups have no spread: raise group_size or entropy.coef",
    ):
        assert words in picture


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def terminal() -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, width=80, height=24, force_terminal=True, color_system=None)
    return console, screen


def test_the_dashboard_draws_only_when_it_is_time():
    console, screen = terminal()
    clock = Clock()
    dashboard = Dashboard(FACTS, console, clock)
    drawn = len(screen.getvalue())
    dashboard.write(1_000, metrics(0))
    assert len(screen.getvalue()) == drawn
    clock.now = 100 * REDRAW_EVERY_S
    dashboard.write(2_000, metrics(1))
    assert len(screen.getvalue()) > drawn
    dashboard.close()


def test_the_dashboard_leaves_its_last_picture_and_is_down():
    console, screen = terminal()
    dashboard = Dashboard(FACTS, console, Clock())
    dashboard.write(640_000, metrics(0))
    dashboard.say("warning: something", "yellow")
    dashboard.close()
    dashboard.close()
    assert not dashboard.is_up
    assert "640k / 1M steps" in screen.getvalue()
    assert "warning: something" in screen.getvalue()


def test_a_window_that_changes_size_is_drawn_anew():
    console, screen = terminal()
    clock = Clock()
    dashboard = Dashboard(FACTS, console, clock)
    console.size = type(console.size)(60, 20)
    clock.now = 1e6
    before = len(screen.getvalue())
    dashboard.write(1, metrics(0))
    frame = screen.getvalue()[before:]
    assert "\x1b[2J" in frame
    assert max(len(line) for line in frame.split("\x1b[2J")[1].splitlines()) < 80
    dashboard.close()


class GoneTerminal(io.StringIO):
    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_a_terminal_that_goes_away_does_not_stop_the_training():
    screen = GoneTerminal()
    clock = Clock()
    console = Console(file=screen, width=80, height=24, force_terminal=True)
    dashboard = Dashboard(FACTS, console, clock)
    screen.gone = True
    for i in range(3):
        clock.now += 1e6
        dashboard.write(i, metrics(i))
    dashboard.close()
    assert not dashboard.is_up


def test_off_a_terminal_there_are_plain_lines(capsys):
    sink = View().training(FACTS)
    for i in range(1, 101):
        sink.write(10_000 * i, metrics(i) | (EVALUATION if i == 35 else {}))
    sink.close()
    out, err = capsys.readouterr()
    assert out == ""
    head, columns, *rows = err.splitlines()
    assert head.startswith("CartPole-v1  seed 7  4 groups x 8 members  native  stop at 475")
    assert columns.split()[:4] == ["steps", "done", "return", "spread"]
    assert {len(row) for row in [columns, *rows] if "advice" not in row} == {len(columns)}
    # the first update, every tenth, and the evaluation at 350,000; the advice only once
    steps = [row.split()[0] for row in rows if "advice" not in row]
    assert steps == ["10,000", *(f"{n}00,000" for n in (1, 2, 3)), "350,000"] + [
        f"{n}00,000" for n in (4, 5, 6, 7, 8, 9)
    ] + ["1,000,000"]
    assert sum("advice" in row for row in rows) == 1
    (evaluated,) = [row for row in rows if row.split()[0] == "350,000"]
    assert evaluated.split()[-2:] == ["480.0", "431.5"]


def test_a_run_that_goes_on_shows_what_one_left_alone_would(capsys):
    before = [(10_000 * i, metrics(i)) for i in range(1, 55)]
    whole, resumed = View().training(FACTS), View().training(FACTS, before)
    capsys.readouterr()
    for step, numbers in before:
        whole.write(step, numbers)
    capsys.readouterr()
    shown = []
    for sink in (whole, resumed):
        for i in range(55, 101):
            sink.write(10_000 * i, metrics(i))
        lines = capsys.readouterr().err.splitlines()
        rows = [line.split() for line in lines if "advice" not in line]
        shown.append([row[:7] for row in rows if row[0] != "550,000"])  # where the other begins
    assert shown[0] == shown[1]
    assert [row[0] for row in shown[0]] == [f"{n}00,000" for n in range(6, 10)] + ["1,000,000"]


def test_advice_is_given_once_whatever_its_numbers_are(capsys):
    sink = View().training(FACTS)
    for i in range(1, 101):
        sink.write(10_000 * i, metrics(i) | {"group/frac_reward_zero_std": 0.6 + i / 1000})
    assert capsys.readouterr().err.count("advice:") == 1


def test_a_pipe_nobody_reads_does_not_stop_the_training(monkeypatch):
    screen = GoneTerminal()
    screen.gone = True
    monkeypatch.setattr("sys.stderr", screen)
    view = View()
    view.warn("nobody hears this")
    sink = view.training(FACTS)
    sink.write(1, metrics(0))
    sink.close()
    assert screen.getvalue() == ""


def test_the_last_update_is_shown_at_the_end(capsys):
    sink = View().training(FACTS)
    for i in (1, 2, 3):
        sink.write(1_000 * i, metrics(i))
    sink.close()
    assert capsys.readouterr().err.splitlines()[-1].split()[0] == "3,000"


@pytest.mark.parametrize("words", [{"quiet": True}, {"json": True}])
def test_quiet_shows_nothing_but_warnings(words, capsys):
    view = View(**words)
    view.notice("a notice")
    sink = view.training(FACTS)
    sink.write(1, metrics(0))
    view.warn("a\nwarning")
    sink.close()
    assert capsys.readouterr() == ("", "warning: a warning\n")


def test_notices_and_warnings_are_one_line_each(capsys):
    view = View()
    view.notice("a notice")
    view.warn("careful")
    assert capsys.readouterr().err == "a notice\nwarning: careful\n"


def test_what_our_modules_log_is_a_warning(capsys):
    View(quiet=True)
    logging.getLogger("grpo_cli.envs.source").warning("no time limit: %d steps", 10_000)
    assert capsys.readouterr().err == "warning: no time limit: 10000 steps\n"
