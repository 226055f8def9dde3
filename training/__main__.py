"""`python -m training fit | evaluate | package`: from images to a checkpoint the service answers with."""

from __future__ import annotations

import sys

from training.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
