"""python -m benchmarks.serving WHAT: measure the service under load; the report shows what was found.

comparison   beside other servers, on the same work: the default
pauses       ten minutes of load: the longest wait
growth       over batches, image sizes, models and workers
costs        what each feature takes
capacity     what so many requests per second need, measured and on paper
phases       where the time goes, from a profile
ray_overhead what Ray Serve takes, against uvicorn alone
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.serving import comparison, work
from benchmarks.serving.peers.configurations import CONFIGURATIONS
from benchmarks.serving.server import CannotRun, check_idle, check_program
from training.studies.findings import markdown, save

ALONE = ("pauses", "growth", "costs", "capacity", "phases", "ray_overhead")


def main() -> int:
    """Measure what was asked for, keep it for the report and print it."""
    options = _options()
    try:
        check_program("wrk")
        check_idle()
        work.prepare()
        if options.what in ALONE:
            found = import_module(f"benchmarks.serving.{options.what}").findings(options.seconds)
        else:
            servers = [CONFIGURATIONS[name] for name in options.servers]
            found = comparison.findings(servers, options.repeats, options.seconds)
    except CannotRun as error:
        sys.stderr.write(f"benchmarks.serving: {error}\n")
        return 1
    save(found, f"serving_{options.what}")
    print("\n".join(markdown(found)))  # noqa: T201 - this is the command's output
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    installed = [name for name, server in CONFIGURATIONS.items() if Path(server.command[0]).is_file()]
    parser.add_argument("what", nargs="?", default="comparison", choices=("comparison", *ALONE))
    parser.add_argument(
        "--servers",
        nargs="+",
        default=installed,
        choices=installed,
        metavar="NAME",
        help=f"of the comparison: {', '.join(installed)}",
    )
    parser.add_argument("--repeats", type=int, default=3, help="times each server is started and loaded")
    parser.add_argument("--seconds", type=float, default=4, help="of load per measurement")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
