"""`python -m training`, or `latent-train`: from images to a checkpoint that serves, and to a report."""

from __future__ import annotations

import sys


def console() -> int:
    """Run as the command `latent-train`."""
    return run("latent-train")


def run(program: str) -> int:
    """Run the command line of this process and return its exit code: 1 also where a package is missing."""
    try:
        from training.cli.commands import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("service", "training"):
            raise
        sys.stderr.write(
            f"{program}: {error}; python -m pip install 'latent-service[train]', or `make train` in a clone, "
            "installs what training needs\n"
        )
        return 1
    return main(sys.argv[1:], program)


if __name__ == "__main__":
    sys.exit(run("python -m training"))
