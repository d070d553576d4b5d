"""Why a request is refused before it is looked at."""

from r1ray.errors import R1RayError


class AccessDenied(R1RayError):
    """The key is missing, unknown, revoked, or not allowed to do this."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)  # all of them: errors are pickled by their arguments
        self.status, self.code, self.message = status, code, message

    def __str__(self) -> str:
        return self.message


class RateLimited(R1RayError):
    """Too many requests, or too many tokens."""

    def __init__(self, retry_after_s: float, message: str) -> None:
        super().__init__(retry_after_s, message)
        self.retry_after_s, self.message = retry_after_s, message

    def __str__(self) -> str:
        return self.message
