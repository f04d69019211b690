"""Exceptions of the operator.

A user's mistake is never an exception: it is a `Rejected` in the plan, and a condition. What is left are faults of the
infrastructure and of ourselves::

    SkylaneError
    ├── ApiError                the Kubernetes API refused or failed
    │   ├── ApiConflictError    somebody else owns the field, or the object changed meanwhile: read again and retry
    │   ├── ForeignObjectError  an object that we did not make bears the name of one that we would make
    │   ├── ApiNotFoundError    the object, or its kind, does not exist
    │   ├── ApiExpiredError     what a list or watch shall go on from is too old (410): list again
    │   └── ApiUnavailableError no answer, or 429 / 5xx: retry later
    ├── AgentError              an agent broke the stream's contract
    │   └── AgentRefusedError   its token, or the pod it claims to be, does not hold
    ├── WatchEndedError         what wakes us is gone: end, and be started anew
    └── SettingsError           the operator was started with settings that it cannot use
"""


class SkylaneError(Exception):
    """Everything that the operator raises by itself."""


class ApiError(SkylaneError):
    """The Kubernetes API refused or failed. `status` is the HTTP status, 0 if there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ApiConflictError(ApiError):
    """Another writer owns the field, or the object changed meanwhile."""


class ForeignObjectError(ApiError):
    """An object that we did not make bears the name of one that we would make; it is left as it is."""


class ApiNotFoundError(ApiError):
    """The object, or its kind, does not exist."""


class ApiExpiredError(ApiError):
    """What a list or watch shall go on from is too old."""


class ApiUnavailableError(ApiError):
    """The API server gave no answer, or asks to come back later."""


class AgentError(SkylaneError):
    """An agent broke the contract of the stream."""


class AgentRefusedError(AgentError):
    """An agent's token is not valid for the pod that it claims to be."""


class WatchEndedError(SkylaneError):
    """What wakes the operator is gone."""


class SettingsError(SkylaneError):
    """The operator was started with settings that it cannot use."""
