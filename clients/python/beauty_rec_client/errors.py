"""What the server refuses, as exceptions with their problem details (RFC 9457)."""

import httpx
from pydantic import ValidationError

from beauty_rec_client.models import Problem


class ApiError(Exception):
    """The server refused.

    Attributes:
        status: of the answer.
        problem: its details; of an answer that has none (a proxy's), what is known.
    """

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{status} {problem.title}: {problem.detail}")
        self.status, self.problem = status, problem


class Unauthorized(ApiError):
    """401: the API key is missing or wrong."""


class Forbidden(ApiError):
    """403: not allowed, with whatever key."""


class NotFound(ApiError):
    """404: no such item, user or route."""


class NotValid(ApiError):
    """422: ``problem.errors`` names the fields."""


class TooManyRequests(ApiError):
    """429: also after all retries."""


class Unavailable(ApiError):
    """503: also after all retries."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    422: NotValid,
    429: TooManyRequests,
    503: Unavailable,
}


def error_of(response: httpx.Response) -> ApiError:
    """Return the exception of an answer that is no success."""
    status = response.status_code
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(
            title=response.reason_phrase or "Error",
            status=status,
            detail=response.text[:200],
            request_id=response.headers.get("x-request-id", ""),
        )
    return _BY_STATUS.get(status, ApiError)(status, problem)
