"""``python -m lhic`` is the command ``lhic``."""

import sys

from lhic.cli import main

if __name__ == "__main__":
    sys.exit(main())
