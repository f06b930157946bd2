"""Advantages: what an attempt was worth, compared with its peers."""

from grpo_cli.advantages.peer import Estimate, check_peer, peer
from grpo_cli.advantages.peers import PeerStats, peer_stats
from grpo_cli.advantages.score import scale_rewards, score

__all__ = ["Estimate", "PeerStats", "check_peer", "peer", "peer_stats", "scale_rewards", "score"]
