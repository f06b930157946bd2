"""Searching for settings: spaces, claims, trials, what came of them. Only `study` knows Optuna."""
