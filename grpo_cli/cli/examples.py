"""The examples of the help pages, and the exit codes: a command and what it does."""

VERBS = (
    ("grpo train env=CartPole-v1", "train until it is solved"),
    ("grpo eval ckpt=last episodes=200", "score the newest run"),
    ("grpo train -m env=CartPole-v1 seed=0,1,2", "three seeds, one after the other"),
    ("grpo sweep env=CartPole-v1 sweep.workers=2", "search for good settings"),
    ("grpo config env=CartPole-v1 lr=0.01", "where each value comes from"),
    ("grpo presets", "published systems, for preset=NAME"),
    ("grpo bench env=LunarLander-v3", "which settings suit this computer"),
    ("grpo envs box2d", "environments, and what each of them needs"),
    ("grpo train resume=last", "go on with the newest run"),
    ("grpo tensorboard", "the curves of all runs"),
)
EXIT_CODES = (
    ("0", "done"),
    ("1", "training or the environment failed"),
    ("2", "words, config, environment id or checkpoint cannot be used"),
    ("3", "an optional package is missing"),
    ("4", "a number is not finite"),
    ("5", "min_reward was not reached"),
    ("130", "interrupted (Ctrl-C)"),
    ("143", "terminated"),
)
TRAIN = (
    ("grpo train env=CartPole-v1", "any Gymnasium id"),
    ("grpo train env=./my_env.py:Valve env.kwargs.size=3", "your own class"),
    ("grpo train env=Acrobot-v1 lr=1e-3 loss.eps_high=0.28", "change anything"),
    ("grpo train env=CartPole-v1 preset=dapo loss.eps_high=0.3", "a published system"),
    ("grpo train -m env=CartPole-v1 preset=dapo,gspo seed=0,1", "four runs"),
    ("grpo train env=CartPole-v1 profile=true", "where the time goes"),
)
PRESETS = (
    ("grpo presets", "all of them"),
    ("grpo presets length", "those with this in their name, line or source"),
    ("grpo presets 'g*po'", "those whose name looks like this"),
    ("grpo presets dapo", "and the words that it stands for"),
    ("grpo presets --json", "for programs"),
)
ENVS = (
    ("grpo envs", "all of them; the many of Atari and MiniGrid by patterns"),
    ("grpo envs mujoco", "those of an extra, or with this in their id"),
    ("grpo envs 'ALE/*'", "those whose id looks like this"),
    ("grpo envs dict", "those with such a space"),
    ("grpo envs --json", "for programs; one entry an id"),
)
SPACES = (
    ("group_size=4,8,16", "one of these"),
    ("preset=choice(dapo,gspo)", "whole groups as well"),
    ("epochs=range(2,11,2)", "2, 4, 6, 8, 10"),
    ("gamma=interval(0.9,0.999)", "any number between"),
    ("lr=tag(log,interval(1e-4,1e-2))", "the same on a logarithmic scale"),
    ("num_groups=int(interval(1,8))", "any whole number; int(tag(log,interval(8,128)))"),
)
SWEEP = (
    ("grpo sweep env=CartPole-v1", "the space for its family, 20 trials"),
    (
        "grpo sweep env=CartPole-v1 'lr=tag(log,interval(1e-4,1e-2))' group_size=4,8,16 "
        "sweep.trials=40 sweep.workers=2",
        "typed again it goes on",
    ),
    ("grpo sweep env=Acrobot-v1 lr=1e-3,3e-3 epochs=4,8", "a full grid, four trials"),
    ("grpo sweep env=Acrobot-v1 sweep.objective=steps_to_threshold sweep.seeds=3", ""),
    ("grpo train --config-dir runs/sweeps/NAME experiment=best", "train with what was found"),
)
EVAL = (
    ("grpo eval ckpt=last", "the newest run, both modes"),
    ("grpo eval ckpt=best min_reward=475", "exit 5 when a mean is below"),
    ("grpo eval ckpt=last mode=greedy episodes=500 --json", "for programs"),
)
BENCH = (
    ("grpo bench", "CartPole-v1"),
    ("grpo bench env=LunarLander-v3 budget=20s", "in less time"),
    ("grpo bench env=Acrobot-v1 num_groups=8", "num_groups stays; the others are recommended"),
    ("grpo bench env=Acrobot-v1 --quiet", "only the words for grpo train"),
    ("grpo train env=Acrobot-v1 tune=auto", "train with what was recommended"),
)
DOCTOR = (
    ("grpo doctor", "this computer"),
    ("grpo doctor env=CartPole-v1", "an environment too; exit 1 when it is not fit"),
    ("grpo doctor replay=RUN/crash-000012", "the update that was not finite, once more"),
)
