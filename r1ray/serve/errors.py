"""What a client is told when something goes wrong: every failure is an OpenAI error object."""

from typing import Any


class ApiError(Exception):
    """A failure with its HTTP status. Crosses processes: its arguments are its state."""

    def __init__(
        self,
        status: int,
        message: str,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(status, message, type, code, param, retry_after_s)
        self.status, self.message, self.type = status, message, type
        self.code, self.param, self.retry_after_s = code, param, retry_after_s

    def __str__(self) -> str:
        return self.message

    def body(self) -> dict[str, Any]:
        """The error object."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """What goes with it."""
        return {} if self.retry_after_s is None else {"Retry-After": str(max(1, round(self.retry_after_s)))}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The request cannot be served as it is."""
    return ApiError(400, message, "invalid_request_error", code, param)


def overloaded(message: str, retry_after_s: float) -> ApiError:
    """Too much waits already."""
    return ApiError(429, message, "rate_limit_error", "overloaded", None, retry_after_s)


def unavailable(message: str, retry_after_s: float = 1.0) -> ApiError:
    """No engine answers."""
    return ApiError(503, message, "server_error", "unavailable", None, retry_after_s)
