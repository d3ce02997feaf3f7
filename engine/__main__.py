"""``python -m engine`` is the command ``attain``."""

from engine.cli import main

if __name__ == "__main__":
    main()
