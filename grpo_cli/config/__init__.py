"""Plans: words and files become a checked configuration. Only this package imports Hydra."""
