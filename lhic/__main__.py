"""``python -m lhic`` and the script ``lhic``: an interrupt ends them in one line, also while modules are imported."""

import sys

from lhic import console


def main() -> int:
    """Run the command; returns the exit code."""
    with console.interrupts_end_it():
        from lhic.cli import main as run
    code = run()
    console.is_over()
    return code


if __name__ == "__main__":
    sys.exit(main())
