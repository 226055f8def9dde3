"""`python -m training fit | tune | evaluate | package | study | report`: from images to a checkpoint and a report."""

from __future__ import annotations

import sys

from training.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
