# Document 004, "RL Ch5 GRPO": its trainer is a preset of the command line.
# Further words follow, such as total_steps=20000.
import subprocess
import sys

command = [sys.executable, "-m", "grpo_cli", "train", "env=CartPole-v1", "preset=textbook"]
sys.exit(subprocess.run([*command, *sys.argv[1:]]).returncode)
