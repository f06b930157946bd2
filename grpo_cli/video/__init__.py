"""Filming a policy: the first evaluation episodes as an MP4 or a GIF, with or without a display.

What can go wrong is looked for before an episode is played (`plan`, `check_renders`), and the file
appears under its name only when it is whole (`record`).
"""

from grpo_cli.video.files import plan
from grpo_cli.video.film import check_renders, film, record
from grpo_cli.video.group import Together, play
from grpo_cli.video.stages import Stages
from grpo_cli.video.terminal import Screen

__all__ = ["Screen", "Stages", "Together", "check_renders", "film", "plan", "play", "record"]
