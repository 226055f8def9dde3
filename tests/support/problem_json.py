"""What every refusal has to look like, for tests to check one against."""

from typing import Any, Protocol

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


class Response(Protocol):
    """What httpx and the test client have in common."""

    status_code: int
    content: bytes
    headers: Any

    def json(self) -> Any: ...


def check_problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """Check that `response` is a small problem document with that status and code, and return it."""
    assert response.status_code == status, response.content[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 4096
    problem: dict[str, Any] = response.json()
    assert set(problem) - {"errors"} == MEMBERS
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["request_id"] == response.headers["x-request-id"]
    for word in (b"Traceback", b"service/", b"service.", b"pydantic", b"Error'", b".py"):
        assert word not in response.content
    for error in problem.get("errors", []):
        assert set(error) == {"loc", "msg"}
    return problem
