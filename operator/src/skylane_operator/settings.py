"""Settings of the operator, from its environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from skylane_operator.errors import SettingsError
from skylane_operator.model.key import Key

_PREFIX = "SKYLANE_"


def _listed(value: object) -> object:
    return (
        tuple(part for part in value.replace(",", " ").split() if part) if isinstance(value, str) else value
    )


HostPort = Annotated[str, Field(pattern=r"^[^\s]+:[0-9]{1,5}$")]


class Settings(BaseModel):
    """Each field is read from SKYLANE_<FIELD>, `kubeconfig` from KUBECONFIG (absent: the pod's own ServiceAccount)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: Annotated[str, Field(min_length=1)]
    lb_image: Annotated[str, Field(min_length=1)]
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    operator_address: HostPort | None = (
        None  # what agents dial; None: the ClusterIP of Service skylane-operator
    )
    pod_address: IPvAnyAddress | None = None  # our own, for that Service; None: nobody comes through it
    lease_duration_s: Annotated[int, Field(ge=3, le=60)] = 3  # how soon a leader that died is followed
    upgrade_deadline_s: Annotated[int, Field(ge=1, le=86400)] = 600  # for the successor of a pod to serve
    # "namespace/name" of the LoadBalancer for Services of type LoadBalancer without a class; None: they are left alone
    default_load_balancer: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")] | None = None
    gateway_api: bool = (
        True  # whether the kinds of the Gateway API are looked at; they may be absent all the same
    )
    readiness_gates: bool = False  # whether pods that declare skylane.dev/in-service get that condition
    watch_namespaces: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()  # empty: all
    grpc_address: HostPort = "0.0.0.0:9443"
    http_address: HostPort = "0.0.0.0:8080"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kubeconfig: Path | None = None

    @property
    def default_load_balancer_key(self) -> Key | None:
        """See `default_load_balancer`."""
        if self.default_load_balancer is None:
            return None
        namespace, _, name = self.default_load_balancer.partition("/")
        return Key(namespace, name)

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if self.operator_address is None and self.pod_address is None:
            raise ValueError("agents would not find us: set SKYLANE_POD_ADDRESS or SKYLANE_OPERATOR_ADDRESS")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingsError that names the variable."""
        given = {
            name: environment[_PREFIX + name.upper()]
            for name in cls.model_fields
            if environment.get(_PREFIX + name.upper())
        }
        if kubeconfig := environment.get("KUBECONFIG"):
            given["kubeconfig"] = kubeconfig
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError("; ".join(map(_text, error.errors()))) from error

    @property
    def server_name(self) -> str:
        """The name in the serving certificate."""
        return f"skylane-operator.{self.namespace}.svc"


def _text(fault: ErrorDetails) -> str:
    # What concerns several variables names them itself.
    variable = f"{_PREFIX}{str(fault['loc'][0]).upper()}: " if fault["loc"] else ""
    return f"{variable}{fault['msg']}"
