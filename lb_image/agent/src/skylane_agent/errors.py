"""Exceptions of the agent.

AgentError
├── SettingsError               an environment variable is missing or wrong; the process ends
├── ConfigDirError              the configuration directory cannot be prepared or read
├── ForwarderError              the forwarder's control socket
│   ├── ForwarderGoneError      nobody listens, or the connection broke
│   ├── ForwarderTimeoutError   no reply in time
│   └── ForwarderReplyError     a reply that is not what the contract says
├── BirdError                   the routing daemon's control socket
│   ├── BirdGoneError           nobody listens, or the connection broke
│   └── BirdRefusedError        it did not do what it was told to
├── RoutingError                peers that cannot be used; what was there before stays
├── ProbeFailedError            a backend did not answer a health check as it should
└── ProbeNotMadeError           a health check could not be made, through no fault of the backend
"""


class AgentError(Exception):
    """Base of all that the agent raises itself."""


class SettingsError(AgentError):
    """Names every environment variable that is missing or wrong, and how to mend it."""


class ConfigDirError(AgentError):
    """The configuration directory cannot be prepared or read."""


class ForwarderError(AgentError):
    """The forwarder could not be asked."""


class ForwarderGoneError(ForwarderError):
    """Nobody listens on the control socket, or the connection broke."""


class ForwarderTimeoutError(ForwarderError):
    """No reply in time."""


class ForwarderReplyError(ForwarderError):
    """A reply that is no JSON object of the expected form."""


class BirdError(AgentError):
    """The routing daemon could not be asked."""


class BirdGoneError(BirdError):
    """Nobody listens on the control socket, the connection broke, or no answer came in time."""


class BirdRefusedError(BirdError):
    """The routing daemon answered with an error."""


class RoutingError(AgentError):
    """Peers that cannot be used; the text, which holds no password, goes into the status."""


class ProbeFailedError(AgentError):
    """A backend did not answer a health check as it should; the text goes into the status."""


class ProbeNotMadeError(AgentError):
    """A health check could not be made, through no fault of the backend; the text goes into the status."""
