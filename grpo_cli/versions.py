"""The versions on which a run's numbers depend."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("grpo-cli", "torch", "numpy", "gymnasium", "hydra-core")


@cache
def versions() -> dict[str, str]:
    """Return them by package."""
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
