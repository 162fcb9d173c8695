"""``python -m lhic`` and the script ``lhic``: an interrupt ends them in one line, also while modules are imported."""

import sys

from lhic import console


def main() -> int:
    """Run the command; returns the exit code."""
    try:
        from lhic.cli import main as run
    except KeyboardInterrupt:
        return console.interrupted()
    return run()


if __name__ == "__main__":
    sys.exit(main())
