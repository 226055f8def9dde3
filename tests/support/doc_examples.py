"""The Python examples of docs/, run as they stand, those with a client against a service of the test's."""

import contextlib
import io
import re

from support.service_process import ROOT


def blocks(document: str, language: str) -> list[str]:
    """Return the blocks of a file in docs/ that are in a language."""
    text = (ROOT / "docs" / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def python(document: str) -> list[str]:
    """Return the Python blocks of a file in docs/."""
    return blocks(document, "python")


def run(example: str, url: str | None = None) -> str:
    """Run an example, `localhost:8000` in it being the service at `url`, and return what it prints."""
    assert ("localhost:8000" in example) == (url is not None)
    code = example.replace("localhost:8000", (url or "").removeprefix("http://"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "example", "exec"), {"__name__": "__main__"})
    return printed.getvalue()
