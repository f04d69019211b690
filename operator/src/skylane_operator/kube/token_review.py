"""Who sends a ServiceAccount token: asked of the API server (TokenReview)."""

from dataclasses import dataclass
from typing import Any

from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import TOKEN_REVIEW

AUDIENCE = "skylane.dev/operator"

_PREFIX = "system:serviceaccount:"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """The pod that a token is bound to."""

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: str


async def identity_of(client: KubeClient, token: str) -> TokenIdentity | None:
    """The pod that the token is bound to.

    None if the token is not valid, not for us, or bound to no pod. Raises ApiError.
    """
    body = {
        "apiVersion": TOKEN_REVIEW.group_version,
        "kind": TOKEN_REVIEW.kind,
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }
    answer = await client.request("POST", TOKEN_REVIEW.collection_path(), body=body)
    return _identity_in(answer.get("status", {}))


def _identity_in(status: dict[str, Any]) -> TokenIdentity | None:
    # An authenticator that knows no audiences answers without any: then the token may be meant for somebody else.
    if not status.get("authenticated") or AUDIENCE not in status.get("audiences", ()):
        return None
    user = status["user"]
    extra = user.get("extra", {})
    names, uids = extra.get(_POD_NAME, ()), extra.get(_POD_UID, ())
    namespace, _, account = user["username"].removeprefix(_PREFIX).partition(":")
    if not user["username"].startswith(_PREFIX) or not account or len(names) != 1 or len(uids) != 1:
        return None
    return TokenIdentity(namespace, account, names[0], uids[0])
