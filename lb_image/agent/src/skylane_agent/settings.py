"""What the agent is told by its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from skylane_agent.errors import SettingsError

_DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_HOST_AND_PORT = r"^(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}$"


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
DnsName = Annotated[str, StringConstraints(pattern=_DNS_NAME, max_length=253)]
HostAndPort = Annotated[str, StringConstraints(pattern=_HOST_AND_PORT)]


class AgentSettings(BaseModel):
    """Settings of one agent; every field belongs to one environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    operator_address: HostAndPort
    operator_server_name: DnsName  # the name in the operator's certificate
    token_file: AbsolutePath
    ca_file: AbsolutePath
    config_dir: AbsolutePath = Path("/run/skylane/config")
    control_socket: AbsolutePath = Path("/run/skylane/control.sock")
    bird_folder: AbsolutePath = Path("/run/skylane-bird")  # files and control socket of the routing daemon
    pod_name: DnsName
    pod_namespace: DnsName
    load_balancer: DnsName
    http_port: int = Field(default=8081, ge=0, le=65535)  # 0: any free port


VARIABLES = {
    "operator_address": "SKYLANE_OPERATOR_ADDRESS",
    "operator_server_name": "SKYLANE_OPERATOR_SERVER_NAME",
    "token_file": "SKYLANE_TOKEN_FILE",
    "ca_file": "SKYLANE_CA_FILE",
    "config_dir": "SKYLANE_CONFIG_DIR",
    "control_socket": "SKYLANE_CONTROL_SOCKET",
    "bird_folder": "SKYLANE_BIRD_DIR",
    "pod_name": "POD_NAME",
    "pod_namespace": "POD_NAMESPACE",
    "load_balancer": "SKYLANE_LOADBALANCER",
    "http_port": "SKYLANE_HTTP_PORT",
}


def settings_from(environment: Mapping[str, str]) -> AgentSettings:
    """Read settings from environment variables; an empty variable counts as unset.

    Other variables are nobody's business here: Kubernetes itself adds SKYLANE_OPERATOR_SERVICE_HOST and more.

    Raises SettingsError naming every variable that is missing or wrong.
    """
    given = {field: environment[name] for field, name in VARIABLES.items() if environment.get(name)}
    try:
        return AgentSettings.model_validate(given)
    except ValidationError as error:
        problems = (_problem(str(each["loc"][0]), each["type"], each["msg"]) for each in error.errors())
        raise SettingsError("; ".join(problems)) from None


def _problem(field: str, kind: str, message: str) -> str:
    variable = VARIABLES[field]
    return f"{variable} must be set" if kind == "missing" else f"{variable}: {message}"
