"""Blackjack in words: an environment whose observations and actions are text."""

from typing import Any

import gymnasium as gym
from gymnasium import spaces

WORDS = {"stick": 0, "hit": 1}
LONGEST = 400  # characters of an observation


class Blackjack(gym.Env[str, str]):
    """Gymnasium's Blackjack-v1 (Sutton and Barto, example 5.1), asked and answered in words.

    `14 against 10. hit or stick?`; the first of the two words in an answer is what is done, and an
    answer with neither of them loses.

    Args:
        natural: a natural pays 1.5.
    """

    def __init__(self, natural: bool = False) -> None:
        self._env = gym.make("Blackjack-v1", natural=natural, disable_env_checker=True)
        self.observation_space = spaces.Text(LONGEST, charset=_CHARACTERS)
        self.action_space = spaces.Text(LONGEST, min_length=0, charset=_CHARACTERS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Deal."""
        super().reset(seed=seed)
        obs, info = self._env.reset(seed=seed, options=options)
        return _in_words(obs), info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Hit or stick."""
        said = action.lower()
        places = {word: said.find(word) for word in WORDS if word in said}
        if not places:
            return "neither hit nor stick.", -1.0, True, False, {"is_success": False}
        obs, reward, ended, cut, info = self._env.step(WORDS[min(places, key=places.__getitem__)])
        if ended:
            info = {**info, "is_success": float(reward) > 0}
        return _in_words(obs), float(reward), ended, cut, info

    def close(self) -> None:
        """Close the game."""
        self._env.close()


def _in_words(obs: tuple[int, int, int]) -> str:
    mine, dealer, ace = (int(number) for number in obs)
    soft = "soft " if ace else ""
    return f"{soft}{mine} against {dealer}. hit or stick?"


_CHARACTERS = frozenset(map(chr, range(32, 127))) | {"\n"}
