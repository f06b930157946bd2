"""`python -m grpo_cli`."""

from grpo_cli.cli import main

if __name__ == "__main__":
    main()
