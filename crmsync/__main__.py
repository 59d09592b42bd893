"""``python -m crmsync`` is the command line."""

from crmsync.cli.main import main

if __name__ == "__main__":
    main()
