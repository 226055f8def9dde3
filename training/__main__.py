"""`python -m training`: from images to a checkpoint that serves, and to a report."""

from __future__ import annotations

import sys

from training.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
