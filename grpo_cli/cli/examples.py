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
    ("grpo compare preset=dapo preset=gspo", "which is better, on the same seeds"),
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
RUNS = (
    ("grpo runs", "all of them"),
    ("grpo runs CartPole preset=dapo", "those for which both hold"),
    ("grpo runs 'greedy>450' --sort greedy", "the best last"),
    ("grpo runs preset=dapo --tag paper", "give a tag; tag=paper finds them again"),
    ("grpo runs state=stopped --remove", "remove them, after asking"),
)
PLOT = (
    ("grpo plot runs/CartPole-v1", "return over env steps, in the terminal"),
    ("grpo plot preset=dapo preset=gspo --out curves.svg", "a picture: .png, .svg or .pdf"),
    ("grpo plot last --metric train/entropy", "any metric of docs/metrics.md"),
    ("grpo plot runs --stat iqm", "interquartile mean over seeds"),
)
COMPARE = (
    ("grpo compare preset=dapo preset=gspo", "two sides, seed by seed"),
    ("grpo compare 'env=CartPole-v1 lr=0.01' 'env=CartPole-v1 lr=0.002'", ""),
    ("grpo compare RUN1 RUN2", "the configs of two runs; two seeds decide nothing"),
)
REPORT = (
    ("grpo report last", "the newest run; every training writes it too"),
    ("grpo report preset=dapo preset=gspo --out both.html", "several runs on one page"),
)
WATCH = (
    ("grpo watch", "the newest run; Ctrl-C leaves it alone"),
    ("grpo watch runs/CartPole-v1/grpo-s0-...", "another, going on or ended"),
    ("grpo watch last --once", "how it stands, in a pipe as lines"),
)
TENSORBOARD = (
    ("grpo tensorboard", "all of runs/"),
    ("grpo tensorboard last", "the newest run"),
    ("grpo tensorboard preset=dapo preset=gspo --port 6007", "runs made with these words"),
)
EXPORT = (
    ("grpo export ckpt=last", "policy.onnx in the run's folder"),
    ("grpo export ckpt=last out=policy.onnx", "here"),
    ("grpo eval ckpt=policy.onnx", "score it, through onnxruntime"),
    ("grpo export ckpt=best format=torchscript out=policy.pt", "for torch.jit.load, in C++ too"),
    ("grpo export ckpt=last format=hub out=cartpole", "a folder for the Hugging Face Hub"),
    ("grpo export ckpt=best format=hub repo=me/cartpole", "uploaded, where there is a token"),
)
PLAY = (
    ("grpo play ckpt=last", "four attempts from one start, in the terminal"),
    ("grpo play ckpt=best out=group.mp4 members=9", "nine of them as a film"),
    ("grpo play ckpt=last out=gif mode=greedy members=1", "play.gif in the run's folder"),
    ("grpo train env=LunarLander-v3 video_every=50000", "films of a training, and a time-lapse"),
)
COMPLETION = (
    ('eval "$(grpo completion bash)"', "in ~/.bashrc"),
    ('eval "$(grpo completion zsh)"', "in ~/.zshrc, after compinit"),
    ("grpo completion fish | source", "in ~/.config/fish/config.fish"),
)
CONFIG = (
    (
        "grpo config env=CartPole-v1 loss.eps_high=0.28",
        "the result, and where each value came from",
    ),
    ("grpo config --explain lr", "what a key is: a sentence, type, unit, default"),
    ("grpo config --explain loss", "the choices of a group"),
)
