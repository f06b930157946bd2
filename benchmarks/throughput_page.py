"""The page of `throughput.py`, from its results."""

from typing import Any


def number(value: float) -> str:
    """Three digits, with commas."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def page(found: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    lines = [
        "# How near to the limit",
        "",
        f"One core, {found['date']}, torch {found['torch']}; one plain CartPole-v1 makes",
        f"{found['plain env, steps/s']:,.0f} steps/s there. Made by",
        "`python benchmarks/throughput.py`.",
        "",
        "## Training, beside PPO",
        "",
        "CartPole-v1, 2 x 64 tanh, 4 epochs, minibatches of 1,024 rows at most; logging,",
        "evaluation and checkpoints at their defaults. PPO: values of rl-zoo3, no evaluation.",
        "Lowest / median / highest of runs made in turn. A sample-epoch is a row in a gradient",
        "step: by all time, and by the time of updates alone.",
        "",
        "| run | env steps/s | sample-epochs/s | sample-epochs/s of updates | x PPO's |",
        "|---|---|---|---|---|",
    ]
    peer = found["throughput"]["SB3 PPO, CartPole-v1"]
    for name, side in found["throughput"].items():
        cells = [" / ".join(map(number, values)) for values in side.values()]
        ratio = ", ".join(number(side[key][1] / peer[key][1]) for key in side)
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio} |")
    lines += [
        "",
        "## The bound",
        "",
        "What nobody can do without, in us an env step: CartPole's equations, and a network",
        "whose products run at the speed of one of 1,024 x 64 by 64 x 64; forward once to act,",
        "forward and backward in four epochs. No activation, loss, optimizer, copy or evaluation.",
        "",
        "| members | env | acting | learning | GFLOP/s | bound, env steps/s | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for members, parts in found["bound"].items():
        reached = found["throughput"][f"{members} members"]["steps_per_s"][1]
        cells = [number(value) for value in parts.values()]
        share_of_it = reached / parts["steps_per_s"]
        lines.append(f"| {members} | {' | '.join(cells)} | {share_of_it:.0%} |")
    lines += [
        "",
        "## The environment's share",
        "",
        "Of all time but evaluations, by `profile=true`.",
        "",
        "| run | us an env step | environment | all else, in units of it |",
        "|---|---|---|---|",
    ]
    for name, run in found["shares"].items():
        rest = (1 - run["share"]) / run["share"]
        lines.append(f"| {name} | {number(run['us'])} | {run['share']:.0%} | {rest:.2f} |")
    lines += [
        "",
        "## By size",
        "",
        "us of training an env step of CartPole-v1 without evaluations.",
        "",
        "| members, of 100 steps at most | us | | env steps of an update, 8 windows | us |",
        "|---|---|---|---|---|",
    ]
    rows = [*found["rows"].items()] + [("", "")] * (len(found["members"]) - len(found["rows"]))
    for (size, us), (count, us_too) in zip(found["members"].items(), rows, strict=True):
        tail = f"{int(count):,} | {number(us_too)}" if count else " | "
        lines.append(f"| {int(size):,} | {number(us)} | | {tail} |")
    lines += [
        "",
        "## Pixels",
        "",
        "`grpo/Catch-v0`, its convolutions and its file's settings; sample-epochs/s of updates.",
        "",
        "| device | sample-epochs/s | env steps/s |",
        "|---|---|---|",
    ]
    for device, run in found["pixels"].items():
        speed = number(run["sample_epochs_per_update_s"])
        lines.append(f"| {device} | {speed} | {number(run['steps_per_s'])} |")
    held = ", ".join(f"{one['mb']:.0f}" for one in found["memory"])
    lines += [
        "",
        "## Memory",
        "",
        f"MB of one run of {found['memory'][-1]['updates']:,} updates, at equal distances: {held}.",
    ]
    return "\n".join(lines) + "\n"
