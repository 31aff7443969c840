"""Answers to requests that fail: what was expected, what was received, what to do. No paths, no tracebacks."""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from perceptmetrics._util.text import printable
from perceptmetrics.errors import MissingExtraError

try:
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

__all__ = ["Refused", "answer_problems", "problem_response"]

_log = logging.getLogger(__name__)
_LENGTH = 200
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)


class Refused(HTTPException):
    """A refused request.

    Args:
        status: HTTP status.
        expected: What was expected.
        got: What was received.
        fix: What to do.
        retry_after: Seconds after which to try again, or None.
    """

    def __init__(self, status: int, *, expected: str, got: str, fix: str, retry_after: int | None = None) -> None:
        headers = None if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(status, detail=f"Expected {expected}, got {got}. {fix}", headers=headers)
        self.problem = {"expected": expected, "got": got, "fix": fix}


def problem_response(refused: Refused) -> JSONResponse:
    """The answer to a refused request."""
    return JSONResponse({"error": refused.problem}, refused.status_code, headers=refused.headers)


def answer_problems(app: FastAPI) -> None:
    """Make an application answer every error in this form."""

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> JSONResponse:
        if _is_for_lack_of_room(error.__cause__):  # FastAPI says that the form is wrong when it cannot be stored
            return problem_response(_lack_of_room(error.__cause__))
        return problem_response(error if isinstance(error, Refused) else _plain(request, error))

    @app.exception_handler(RequestValidationError)
    async def refuse_form(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(_form(error))

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed.", request.method, request.url.path, exc_info=error)
        return problem_response(
            Refused(
                500,
                expected="the images to be scored",
                got="an internal error",
                fix="Tell the operator of the service; the log has the reason.",
            )
        )


def _is_for_lack_of_room(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def _lack_of_room(error: BaseException | None) -> Refused:
    """An upload that could not be stored: too many open files, a full disk."""
    _log.error("An upload could not be stored: %s", error)
    return Refused(
        503,
        expected="room to store the uploaded images",
        got="none at the moment",
        fix="Send the request again later.",
        retry_after=10,
    )


def _plain(request: Request, error: HTTPException) -> Refused:
    """What Starlette refuses: unknown addresses, other methods, bodies that are not forms."""
    what = f"{request.method} {printable(request.url.path)}"[:_LENGTH]
    if error.status_code in (404, 405):
        expected, got, fix = "an address of this service", what, "GET / lists them."
    else:
        expected = "a form (multipart/form-data) with the images"
        got, fix = printable(str(error.detail))[:_LENGTH], "GET / shows an example."
    refused = Refused(error.status_code, expected=expected, got=got, fix=fix)
    refused.headers = error.headers
    return refused


def _form(error: RequestValidationError) -> Refused:
    first = error.errors()[0]
    field = ".".join(printable(str(part)) for part in first["loc"][1:]) or "body"
    return Refused(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        expected="a form (multipart/form-data) with one or more files named 'images', optionally names in 'metrics'",
        got=f"{field}: {printable(str(first['msg']))}"[:_LENGTH],
        fix="For example: curl -F images=@photo.jpg -F metrics=lite_iqa ADDRESS/score",
    )
