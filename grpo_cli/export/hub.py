"""The Hugging Face Hub: uploading an exported folder as a model repository."""

from pathlib import Path
from typing import Any

from grpo_cli.errors import ConfigError, GrpoError, MissingPackage

INSTALL = "pip install 'grpo-cli[hub]'"
LOGIN = "set HF_TOKEN, or type: hf auth login"


def token() -> str | None:
    """Return the person's token of the Hub, by HF_TOKEN or `hf auth login`; None: there is none.

    Raises:
        MissingPackage: huggingface_hub is not installed.
    """
    return _library().get_token()


def upload(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a folder; the repository is made where there is none. `HF_ENDPOINT` names another Hub.

    Args:
        folder: what `format=hub` wrote.
        repo: `user/name`, or a name of one's own.
        private: a new repository is seen by its owner alone.

    Returns:
        Where it can be looked at.

    Raises:
        MissingPackage: huggingface_hub is not installed.
        ConfigError: the name is none.
        GrpoError: the Hub refused, or could not be reached.
    """
    library = _library()
    api = library.HfApi()
    try:
        made = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message="Trained by grpo"
        )
    except library.errors.HFValidationError as error:
        raise ConfigError(f"{repo} is no name of a repository", "write repo=user/name") from error
    except Exception as error:  # HTTP, the network, a full account: each has a class of its own
        raise GrpoError(
            f"{repo} was not uploaded: {_first_line(error)}", f"{folder} is written; {LOGIN}"
        ) from error
    return str(made)


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingPackage("repo= needs huggingface_hub", INSTALL) from error
    return huggingface_hub


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
