"""Put together what several ranks have."""

import numpy as np

from grpo_cli.ranks import Ranks
from grpo_cli.rollout import Episodes


def gathered(episodes: Episodes, ranks: Ranks) -> Episodes:
    """Return the episodes of all ranks."""
    if ranks.size == 1:
        return episodes
    ret, length = ranks.whole(episodes.ret)[0], ranks.whole(episodes.length)[0]
    said = np.full(len(episodes.ret), np.nan) if episodes.success is None else episodes.success
    success, _ = ranks.whole(said.astype(np.float64))
    return Episodes(ret, length, None if np.isnan(success).all() else success == 1)
