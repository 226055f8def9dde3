"""Where the service installs without a compiler: `python -m tools.wheels`, which needs the package index.

constraints.txt, installed packages -> pinned -> pip, for each platform and Python -> a table

Every package that the service needs is looked up in its pinned version, for platforms other than this one
too. It takes some minutes, since pip fetches what it finds.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LINUX = (*(f"manylinux_2_{minor}" for minor in range(5, 36)), "manylinux2014")
PLATFORMS = {
    "Linux x86-64": tuple(f"{tag}_x86_64" for tag in LINUX),
    "Linux Arm64": tuple(f"{tag}_aarch64" for tag in LINUX),
    "macOS Arm64": ("macosx_15_0_arm64",),
    "macOS x86-64": ("macosx_15_0_x86_64",),
    "Windows x86-64": ("win_amd64",),
}
MISSING = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)==")


def pinned() -> dict[str, str]:
    """Return the version of every package that the service needs, with those that its packages need."""
    text = (ROOT / "constraints.txt").read_text()
    versions = {_key(name): version for name, version in re.findall(r"^([^=#\s]+)==(\S+)$", text, re.M)}
    pending = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found: dict[str, str] = {}
    while pending:
        name = _key(re.split(r"[^A-Za-z0-9._-]", pending.pop(), maxsplit=1)[0])
        if name not in found:
            found[name] = versions[name]
            pending += [one for one in requires(name) or () if ";" not in one]
    return dict(sorted(found.items()))


def missing(packages: dict[str, str], platform: str, python: str) -> Iterator[str]:
    """Yield the packages of which a platform has no wheel for a Python.

    Raises:
        RuntimeError: pip fails for another reason; says which.
    """
    left = dict(packages)
    while (name := _first_missing(left, platform, python)) is not None:
        del left[name]
        yield name


def _first_missing(packages: dict[str, str], platform: str, python: str) -> str | None:
    wanted = [f"{name}=={version}" for name, version in packages.items()]
    tags = [f"--platform={tag}" for tag in PLATFORMS[platform]]
    with TemporaryDirectory() as folder:
        options = ["--dry-run", "--no-deps", "--only-binary=:all:", f"--python-version={python}", "--quiet"]
        command = [sys.executable, "-m", "pip", "install", *options, *tags, f"--target={folder}", *wanted]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if ended.returncode == 0:
        return None
    found = MISSING.search(ended.stderr)
    if found is None:
        raise RuntimeError(f"{platform}, Python {python}: {ended.stderr.strip()}")
    return _key(found[1])


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


def main() -> None:
    """Print the table."""
    packages = pinned()
    print(f"Wheels of the {len(packages)} packages that the service needs, in their pinned versions:\n")
    print(f"| | {' | '.join(PYTHONS)} |")
    print("|---|" + "---|" * len(PYTHONS))
    for platform in PLATFORMS:
        lacks = [", ".join(missing(packages, platform, python)) for python in PYTHONS]
        cells = [f"lacks {names}" if names else "all" for names in lacks]
        print(f"| {platform} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
