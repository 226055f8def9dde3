"""Everything the service refuses or fails with, and the one shape in which it says so (RFC 9457).

    any part raises a ServiceError -> error_responses.error_response -> application/problem+json

The names say what happened ("QueueFull"), as an answer's reader would put it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

MAX_LISTED = 20
"""Names of models in the detail of an error: of 64 characters at most, they leave it far below 4 KiB."""

Location = tuple[str | int, ...]


class FieldError(NamedTuple):
    """What is wrong with one field: where it is in the request (`("body", "count")`), and what is allowed."""

    loc: Location
    msg: str


class ServiceError(Exception):
    """A request that gets no answer; `detail` tells the caller why, and never names internals.

    The ladder, by whose turn it is to act:

        the caller changes the request
            400 BadRequest            the request cannot be read: broken HTTP, JSON, multipart or npy
            401 Unauthorized          no key that is known came with it (WWW-Authenticate)
            403 Forbidden             the key is not the admin's, or there is none
            404 NoSuchRoute           nothing lives at this path
            404 UnknownModel          no checkpoint of this name, or version, is served
            405 MethodNotAllowed      the path exists, the method does not (Allow)
            406 NotAcceptable         none of the media types in Accept is offered
            408 RequestTimeout        the request did not arrive in the time for it
            409 OperationNotOffered   the checkpoint lacks the operation
            413 BodyTooLarge          more bytes, or more pixels, than one request may have
            415 UnsupportedMediaType  the body is of a kind that cannot be read here
            421 WrongHost             the name it was sent to is not one of ours
            422 InvalidField          the body can be read, but breaks a rule (errors: loc, msg)
            431 HeadersTooLarge       a head of more bytes than it may have
        the caller comes again later
            429 QueueFull             as many rows wait as may wait (Retry-After)
            503 NotReady              no checkpoint serves yet, or the process is on its way out
            504 DeadlineExceeded      the answer was not there in time
        we look into the log
            500 InferenceFailed       the graph failed on these very rows
            500 ServiceError          anything unforeseen
    """

    status: int = 500
    code: str = "internal-error"
    title: str = "Internal Server Error"
    default_detail: str = "Something failed that should not have; the log has it under this request id."

    def __init__(
        self,
        detail: str | None = None,
        *,
        fields: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say what happened; `fields` are the fields at fault, `headers` go with the answer."""
        self.detail = self.default_detail if detail is None else detail
        self.fields = list(fields)
        self.headers = dict(headers or {})
        super().__init__(self.detail)

    def forget_origin(self) -> None:
        """Let go of the frames it came through, which hold the body and perhaps the error itself."""
        self.__traceback__ = self.__context__ = None

    def problem(self, request_id: str) -> dict[str, Any]:
        """Return the members of the problem document."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.fields:
            members["errors"] = [{"loc": list(field.loc), "msg": field.msg} for field in self.fields]
        return members


class BadRequest(ServiceError):
    """The body cannot be read at all."""

    status, code, title = 400, "bad-request", "Bad Request"
    default_detail = "The request cannot be read."


class Unauthorized(ServiceError):
    """The request carries no key, or one that nobody was given."""

    status, code, title = 401, "unauthorized", "Unauthorized"
    default_detail = "A key is needed here, as Authorization: Bearer or as X-API-Key."


class Forbidden(ServiceError):
    """The request carries a key that does not open this route, or the route is off."""

    status, code, title = 403, "forbidden", "Forbidden"
    default_detail = "This needs the admin key."


class NoSuchRoute(ServiceError):
    """Nothing lives at this path."""

    status, code, title = 404, "no-such-route", "Not Found"
    default_detail = "Nothing lives at this path; GET /docs shows what does."


class UnknownModel(ServiceError):
    """No checkpoint of this name or version is being served."""

    status, code, title = 404, "unknown-model", "Not Found"
    default_detail = "There is no such model; GET /models lists them."

    @classmethod
    def among(cls, known: Collection[str]) -> UnknownModel:
        """Return the error of a name that is not among those `known`, of which it lists some."""
        more = len(known) - MAX_LISTED
        listed = [*islice(known, MAX_LISTED), *([f"{more} more (GET /models lists all)"] if more > 0 else [])]
        return cls(f"There is no such model; known are {', '.join(listed)}." if listed else None)


class MethodNotAllowed(ServiceError):
    """The path exists, but not with this method."""

    status, code, title = 405, "method-not-allowed", "Method Not Allowed"
    default_detail = "This path does not take that method; the Allow header says which it takes."


class NotAcceptable(ServiceError):
    """None of the media types in Accept is offered."""

    status, code, title = 406, "not-acceptable", "Not Acceptable"
    default_detail = "None of the media types in Accept is offered here."


class RequestTimeout(ServiceError):
    """The request did not arrive in the time it has for that."""

    status, code, title = 408, "request-timeout", "Request Timeout"
    default_detail = "The request did not arrive within the time allowed for it."


class OperationNotOffered(ServiceError):
    """The checkpoint lacks this operation."""

    status, code, title = 409, "operation-not-offered", "Conflict"
    default_detail = "This model does not offer that operation; GET /models lists what each offers."


class BodyTooLarge(ServiceError):
    """More bytes or pixels than one request may have."""

    status, code, title = 413, "body-too-large", "Content Too Large"
    default_detail = "The request is larger than is accepted here."


class UnsupportedMediaType(ServiceError):
    """A body of a kind that cannot be read here."""

    status, code, title = 415, "unsupported-media-type", "Unsupported Media Type"
    default_detail = "A body of this type cannot be read here."


class WrongHost(ServiceError):
    """The request was sent to a name that the service does not answer to."""

    status, code, title = 421, "wrong-host", "Misdirected Request"
    default_detail = (
        "This service does not answer to the name in the Host header; LATENT_ALLOWED_HOSTS can add it."
    )


class InvalidField(ServiceError):
    """A request that can be read and breaks a rule; `fields` names each broken one."""

    status, code, title = 422, "invalid-field", "Unprocessable Content"
    default_detail = "The request breaks a rule; errors says where."

    @classmethod
    def of(cls, fields: Sequence[FieldError]) -> InvalidField:
        """Return the error of these fields, whose detail is about the first."""
        first = fields[0]
        return cls(f"{'.'.join(map(str, first.loc))}: {first.msg}", fields=fields)

    @classmethod
    def at(cls, loc: Location, msg: str) -> InvalidField:
        """Return the error of a single field."""
        return cls.of([FieldError(loc, msg)])


class HeadersTooLarge(ServiceError):
    """The head of the request has more bytes than it may have."""

    status, code, title = 431, "headers-too-large", "Request Header Fields Too Large"
    default_detail = "The head of the request is larger than is accepted here."


class QueueFull(ServiceError):
    """As many rows wait as may wait; the Retry-After header says when to come again."""

    status, code, title = 429, "queue-full", "Too Many Requests"
    default_detail = "Too much work is waiting already; Retry-After says in how many seconds to come again."


class InferenceFailed(ServiceError):
    """The graph failed on these rows, or gave numbers that are not finite."""

    status, code, title = 500, "inference-failed", "Internal Server Error"
    default_detail = "The model could not compute an answer to this input."


class NotReady(ServiceError):
    """No checkpoint serves yet, or the process is on its way out."""

    status, code, title = 503, "not-ready", "Service Unavailable"
    default_detail = "The service is not ready to answer."


class DeadlineExceeded(ServiceError):
    """The answer was not there in time."""

    status, code, title = 504, "deadline-exceeded", "Gateway Timeout"
    default_detail = "The answer was not ready within the time allowed for it."
