"""Faults of the connection and answers of the API server, turned into our exception tree in one place."""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import aiohttp

from skylane_operator.errors import (
    ApiConflictError,
    ApiError,
    ApiExpiredError,
    ApiNotFoundError,
    ApiUnavailableError,
)

P = ParamSpec("P")
T = TypeVar("T")

_BY_STATUS: dict[int, type[ApiError]] = {404: ApiNotFoundError, 409: ApiConflictError, 410: ApiExpiredError}
_MAX_ANSWER = 500  # characters of an answer that go into the message


def error_for(status: int, request: str, answer: str) -> ApiError:
    """The exception for an HTTP status of 400 and above, or for the code of a watch's ERROR event."""
    kind = _BY_STATUS.get(status, ApiUnavailableError if status == 429 or status >= 500 else ApiError)
    return kind(f"{request}: {status}: {answer[:_MAX_ANSWER]}", status)


def translated(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Decorate a coroutine function: whatever the connection raises becomes `ApiUnavailableError`."""

    @functools.wraps(call)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailableError(f"{type(error).__name__}: {error}") from error

    return wrapper
