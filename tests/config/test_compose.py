"""What words compose to, and what is refused with which hint."""

import subprocess
import sys
from pathlib import Path

import pytest

from grpo_cli.config import env_ids, files
from grpo_cli.config.compose import compose, compose_all
from grpo_cli.config.multirun import run
from grpo_cli.config.schema import COMPONENTS, GROUPS
from grpo_cli.errors import ConfigError, GrpoError, MissingPackage

CARTPOLE = "env=CartPole-v1"

ALONE = [("loss", "all_action"), ("policy", "text")]
# Chosen together, as far as they take turns; presets are in test_preset_files, words below.
TOGETHER = {
    group: [
        name
        for name in files.choices(group)
        if (group, name) not in ALONE and not name.startswith("text/")
    ]
    for group in GROUPS
    if group not in ("group", "preset", "experiment")
}
EVERY_CHOICE = [
    *(  # several groups: some advantages look at the others, and one file has a single one
        ["num_groups=2"]
        + [f"{group}=[{name}]" if group == "sinks" else f"{group}={name}" for group, name in row]
        for row in (
            [(group, names[turn % len(names)]) for group, names in TOGETHER.items()]
            for turn in range(max(map(len, TOGETHER.values())))
        )
    ),
    *([CARTPOLE, f"group={name}"] for name in files.choices("group") if name != "text"),
    [CARTPOLE, "loss=all_action", "group=candidates", "group.actions=all"],
]


def refused(*words: str) -> GrpoError:
    with pytest.raises(GrpoError) as caught:
        compose(list(words))
    return caught.value


@pytest.mark.parametrize("words", EVERY_CHOICE, ids=" ".join)
def test_every_shipped_choice_composes(words: list[str]):
    assert compose(words)


@pytest.mark.parametrize("name", [n for n in files.choices("env") if n.startswith("text/")])
def test_every_text_task_composes(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(env_ids.MODULES, "text", "json")  # whether or not the extra is installed
    cfg = compose([f"env={name}", "policy.model=any", "env.kwargs.file=f", "env.kwargs.path=p"])
    assert (cfg.group.name, cfg.policy.name, cfg.env.id) == ("text", "text", name)


def test_a_text_task_without_its_packages_says_which_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(env_ids.MODULES, "text", "no_such_module")
    error = refused("env=text/copy", "policy.model=any")
    assert isinstance(error, MissingPackage)
    assert error.fix == "pip install 'grpo-cli[text]'"


@pytest.mark.parametrize(
    ("word", "env_id"),
    [
        ("env=Acrobot-v1", "Acrobot-v1"),
        ("env=HalfCheetah-v5", "HalfCheetah-v5"),
        ("env=./my_env.py:Valve", "./my_env.py:Valve"),
        ("env=../deep/er/my_env.py:Valve", "../deep/er/my_env.py:Valve"),
        ("env=/abs/my_env.py:Valve", "/abs/my_env.py:Valve"),
        ("env='/a path/my_env.py:Valve'", "/a path/my_env.py:Valve"),
        ("env=os:Valve-v0", "os:Valve-v0"),
        ("env=my_pkg.envs.Valve", "my_pkg.envs.Valve"),
    ],
)
def test_environments_without_a_file(word: str, env_id: str):
    env = compose([word]).env
    plain = {"kwargs": {}, "max_steps": None, "wrappers": [], "fresh": "auto"}
    assert env == {"id": env_id, **plain}


def test_an_id_is_never_imported_while_composing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "poison.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert compose(["env=poison:Valve-v0", "loss=poison.fn"]).loss == {"name": "poison.fn"}


def test_an_id_that_only_the_registry_knows(monkeypatch: pytest.MonkeyPatch):
    import gymnasium

    monkeypatch.setitem(gymnasium.registry, "Made-v3", gymnasium.registry["CartPole-v1"])
    assert compose(["env=Made-v3"]).env.id == "Made-v3"


def test_ids_that_import_what_their_kwargs_name_are_refused():
    assert refused("env=GymV26Environment-v0").what == "no environment called GymV26Environment-v0"


def test_a_known_namespace_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    error = refused("env=ALE/Pong-v5")
    assert isinstance(error, MissingPackage)
    assert error.fix == "pip install 'grpo-cli[atari]'"


def test_own_code_takes_its_own_keys_and_none_of_the_shipped():
    assert compose([CARTPOLE, "loss=my.fn", "+loss.beta=2"]).loss == {"name": "my.fn", "beta": 2}
    assert compose([CARTPOLE, "loss=/abs/f.py:fn"]).loss == {"name": "/abs/f.py:fn"}
    assert "+loss.beta" in refused(CARTPOLE, "loss=my.fn", "loss.beta=2").fix
    sinks = compose([CARTPOLE, "sinks=[tensorboard,my.Sink]"]).sinks
    assert sinks == {"tensorboard": {"name": "tensorboard"}, "my_Sink": {"name": "my.Sink"}}


def test_what_an_env_file_says_to_another_component_is_left_out():
    """Acrobot's file sets group.noise_steps, which only group=episodes has."""
    assert compose(["env=Acrobot-v1"]).group.noise_steps == 4
    assert "noise_steps" not in compose(["env=Acrobot-v1", "group=branches"]).group
    assert "noise_steps" not in compose(["env=Acrobot-v1", "preset=textbook"]).group
    with pytest.raises(ConfigError, match=r"unknown key group\.noise_steps"):
        compose(["env=Acrobot-v1", "group=branches", "group.noise_steps=4"])


def test_convenient_words():
    cfg = compose(
        [CARTPOLE, "samples_per_time_step=16", "reward_scaling_fn=rank", "total_steps=1e6"]
    )
    assert (cfg.group_size, cfg.reward_scaling.name, cfg.total_steps) == (16, "rank", 1_000_000)
    assert compose([CARTPOLE, "env.kwargs.g=1"]).env.kwargs == {"g": 1}
    assert compose([CARTPOLE, "+env.kwargs.g=1"]).env.kwargs == {"g": 1}
    assert compose([CARTPOLE, "lr=2"]).lr == 2.0


@pytest.mark.parametrize(
    ("word", "what", "fix"),
    [
        ("lrr=3", "unknown key lrr", "did you mean lr?"),
        ("+typo=1", "unknown key typo", ""),
        ("+loss.x=1", "unknown key loss.x", "loss takes loss.name, loss.eps_low, loss.eps_high"),
        ("loss.eps_lo=1", "unknown key loss.eps_lo", "did you mean loss.eps_low?"),
        ("optim.lr=1", "unknown key optim.lr", "did you mean lr?"),
        ("eps_low=1", "unknown key eps_low", "did you mean loss.eps_low?"),
        ("env.idd=x", "unknown key env.idd", "did you mean env.id?"),
        ("loss=clp", "no loss called clp", "did you mean clip?"),
        ("loss=zzz", "no loss called zzz", "or your own code: loss=my_pkg.fn"),
        ("group_size=1", "group_size must be a whole number, at least 2, got 1", ""),
        ("group_size=8.5", "group_size must be a whole number, at least 2, got 8.5", ""),
        ("lr=abc", "lr must be a number, above 0, got abc", "for example lr=0.002"),
        ("lr=nan", "lr must be a number, above 0, got nan", ""),
        ("lr=inf", "lr must be a number, above 0, got inf", ""),
        ("gamma=1.1", "gamma must be a number, at least 0 and at most 1, got 1.1", ""),
        ("minibatch_size=0", "minibatch_size must be a whole number, at least 1, or null", ""),
        ("device=gpu", "device must be auto, cpu, cuda or cuda:N, got gpu", ""),
        ("name=a/b", "name must be a text without slashes", ""),
        ("stop_at=soon", "stop_at must be a number, auto or none, or null, got soon", ""),
        ("env.max_steps=0", "env.max_steps must be a whole number", ""),
        ("loss.eps_low=true", "loss.eps_low must be a number", ""),
        ("group.same_start=1", "group.same_start must be true or false, got 1", ""),
        ("kl.coef=nan", "kl.coef must be a number", ""),
        ("policy.hidden=[64,x]", "policy.hidden must be a list of whole numbers", ""),
        ("policy.hidden=64", "policy.hidden must be a list of whole numbers", ""),
        ("advantage.scale=goup", "advantage.scale must be batch, group,", "did you mean group?"),
        ("advantage.fallback=[x]", "advantage.fallback must be a list of neighbour_step", ""),
        ("advantage.value=return", "advantage.value=return compares whole members", ""),
        ("loss.name=x", "loss.name follows from the choice", "write loss=... instead"),
        ("~loss", "no loss chosen", ""),
        ("~loss.eps_low", "loss.eps_low was removed", ""),
        ("loss=null", "loss needs a choice, got null", ""),
        ("lr=1,2", "lr=1,2 has several values", "add -m"),
        ("lr=${nothing}", "lr: Interpolation key 'nothing' not found", ""),
        ("a=[", "cannot read the word 'a=['", ""),
        ("policy=./net.py", "policy=./net.py names a file", "./net.py:Name"),
    ],
)
def test_one_line_of_what_and_one_of_what_to_do(word: str, what: str, fix: str):
    error = refused(CARTPOLE, word)
    assert error.exit_code == 2
    assert error.what.startswith(what)
    assert fix in error.fix
    assert "\n" not in error.what + error.fix


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("env=Acrobot", "Acrobot-v1"),
        ("env=pendulum-v1", "Pendulum-v1"),
        ("env=LunarLander-v2", "LunarLander-v3"),
        ("env=Zork", "env=./my_env.py:MyEnv"),
    ],
)
def test_unknown_environments(word: str, hint: str):
    error = refused(word)
    assert error.what == f"no environment called {word[4:]}"
    assert hint in error.fix


def test_no_environment():
    assert "env=CartPole-v1" in refused().fix


def test_reward_bounds_in_the_wrong_order():
    error = refused(CARTPOLE, "reward_scaling=clip", "reward_scaling.low=3")
    assert error.what == "reward_scaling.low=3 is not below reward_scaling.high=1.0"


@pytest.fixture
def own_files(tmp_path: Path) -> Path:
    for name, text in {
        "env/Reacher-v4.yaml": "# @package _global_\nenv: {id: Reacher-v4}\nlr: 0.5\n",
        "preset/mine.yaml": (
            "# @package _global_\ndefaults:\n  - override /loss: mine\nlr: 0.25\nseed: 3\n"
        ),
        "loss/mine.yaml": "defaults: [base]\nx: 3\n",
        "loss/base.yaml": "name: my_loss.fn\ny: 1.0\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_own_files_win_over_listed_ids_without_a_warning(own_files: Path, recwarn):
    composed = compose_all(["env=Reacher-v4", "preset=mine", "seed=7"], [own_files])
    composed.check()
    assert (composed.cfg.lr, composed.cfg.seed) == (0.25, 7)  # env file < preset < command line
    assert composed.cfg.loss == {"name": "my_loss.fn", "x": 3, "y": 1.0}
    assert not [str(w.message) for w in recwarn if "ConfigStore" in str(w.message)]


def test_an_own_file_that_hydra_would_pass_over(own_files: Path):
    (own_files / "loss" / "clip.yaml").write_text("name: clip\neps_low: 0.5\n")
    with pytest.raises(ConfigError, match="has the name of a shipped file"):
        compose_all([CARTPOLE], [own_files]).check()


def test_own_files_list_their_keys(own_files: Path):
    composed = compose_all([CARTPOLE, "loss=mine", "+loss.z=1"], [own_files])
    with pytest.raises(ConfigError, match=r"unknown key loss\.z"):
        composed.check()
    composed = compose_all([CARTPOLE, "loss=mine", "loss.x=text"], [own_files])
    with pytest.raises(ConfigError, match=r"loss\.x must be a whole number"):
        composed.check()


def test_run_hands_every_job_of_a_sweep_to_the_function():
    def job(composed):
        return {"seed": composed.cfg.seed, "env": composed.cfg.env.id, "words": composed.overrides}

    records = run(["--multirun"], ["env=/abs/f.py:E,CartPole-v1", "seed=1,2"], job)
    assert [(r["env"], r["seed"]) for r in records] == [
        ("/abs/f.py:E", 1),
        ("/abs/f.py:E", 2),
        ("CartPole-v1", 1),
        ("CartPole-v1", 2),
    ]
    assert records[0]["words"] == ["env=/abs/f.py:E", "seed=1"]


def test_a_sweep_with_a_wrong_word_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ran = []
    with pytest.raises(ConfigError, match="group_size must be"):
        run(["--multirun"], [CARTPOLE, "group_size=4,abc"], lambda c: ran.append(c) or {})
    assert not ran
    assert not list(tmp_path.iterdir())  # no multirun.yaml, no outputs


def test_composing_loads_neither_torch_nor_gymnasium():
    code = (
        "import sys; from grpo_cli.config.compose import compose; compose(['env=Acrobot-v1']);"
        "print([m for m in ('torch', 'gymnasium', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_component_has_a_node():
    assert set(COMPONENTS) <= set(compose([CARTPOLE]))
