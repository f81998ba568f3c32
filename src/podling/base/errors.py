"""The errors that the engine's side raises; each edge turns them into its own wire shape.

The message is for a person: what was wrong, with which thing, and where it helps what to do next.
"""


class PodlingError(Exception):
    """Base of all expected failures. Anything else is a defect and answers as an internal error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(PodlingError):
    """The request itself is wrong; the same request will fail again (Docker: 400)."""


class Unauthorized(PodlingError):
    """Credentials are missing or wrong (401)."""


class Forbidden(PodlingError):
    """Known, but not allowed (403)."""


class NotFound(PodlingError):
    """The thing named does not exist (404)."""


class AlreadyExists(PodlingError):
    """A thing of this name exists (409)."""


class Conflict(PodlingError):
    """The thing's state does not allow it now (409)."""


class NotModified(PodlingError):
    """It already is as asked (Docker: 304 on start and stop)."""


class Unsupported(PodlingError):
    """This build or this host cannot do it (501)."""


class Unavailable(PodlingError):
    """Something needed is not there now; trying again may help (503)."""


class TimedOut(PodlingError):
    """It took longer than was allowed (504)."""


class Failed(PodlingError):
    """An external command or system failed; the message carries its stderr (500)."""
