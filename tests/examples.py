"""The Python examples of docs/, run as they stand, those with a client against a service of the test's."""

import contextlib
import io
import re

from process import ROOT


def python(document: str) -> list[str]:
    """Return the Python blocks of a file in docs/."""
    text = (ROOT / "docs" / document).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(example: str, url: str | None = None) -> str:
    """Run an example, `localhost:8000` in it being the service at `url`, and return what it prints."""
    assert ("localhost:8000" in example) == (url is not None)
    code = example.replace("localhost:8000", (url or "").removeprefix("http://"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "example", "exec"), {"__name__": "__main__"})
    return printed.getvalue()
