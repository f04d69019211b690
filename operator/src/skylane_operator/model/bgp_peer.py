"""The `BGPPeer` resource (skylane.dev/v1alpha1). Held equal to crds/bgppeer.yaml by a test."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from skylane_operator.model.address import Address
from skylane_operator.model.base import ReadModel, SpecModel
from skylane_operator.model.key import Key
from skylane_operator.model.load_balancer import Port
from skylane_operator.model.meta import ObjectMeta
from skylane_operator.model.selector import LabelSelector

ASN = Annotated[int, Field(ge=1, le=4294967295)]
Unsigned32 = Annotated[int, Field(ge=0, le=4294967295)]
SecretName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
Community = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,10}(:[0-9]{1,10}){1,2}$", min_length=3, max_length=32)
]


class SecretReference(SpecModel):
    """A Secret of the same namespace."""

    name: SecretName


class BGPPeerSpec(SpecModel):
    """Spec: the router, and what it is told."""

    peer_address: Address
    peer_port: Port = 179
    peer_asn: Annotated[ASN, Field(alias="peerASN")]
    local_asn: Annotated[ASN, Field(alias="localASN")]
    ebgp_multihop: bool = True
    hold_time_seconds: Annotated[int, Field(ge=3, le=65535)] = 90
    keepalive_time_seconds: Annotated[int, Field(ge=1, le=21845)] | None = None
    password_secret_ref: SecretReference | None = None
    graceful_restart: bool = False
    communities: Annotated[tuple[Community, ...], Field(max_length=32)] = ()
    local_pref: Unsigned32 | None = None
    med: Unsigned32 | None = None
    as_path_prepend: Annotated[int, Field(ge=0, le=10)] = 0
    node_selector: LabelSelector | None = None

    @field_validator("communities")
    @classmethod
    def _in_range(cls, communities: tuple[str, ...]) -> tuple[str, ...]:
        for community in communities:
            numbers = list(map(int, community.split(":")))
            limit = 65535 if len(numbers) == 2 else 4294967295
            if max(numbers) > limit:
                raise ValueError(f"{community} holds a number above {limit}")
        return communities

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.local_pref is not None and self.local_asn != self.peer_asn:
            raise ValueError("localPref is for peers of the same AS; a router of another AS ignores it")
        if self.keepalive_time_seconds and self.keepalive_time_seconds >= self.hold_time_seconds:
            raise ValueError("keepaliveTimeSeconds must be less than holdTimeSeconds")
        return self


class BGPPeer(ReadModel):
    """The object. It has no status: what became of its sessions the LoadBalancers tell that use it."""

    metadata: ObjectMeta
    spec: BGPPeerSpec

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return self.metadata.key

    @property
    def password_secret(self) -> Key | None:
        """The Secret with its password, if it has one."""
        reference = self.spec.password_secret_ref
        return None if reference is None else Key(self.metadata.namespace, reference.name)
