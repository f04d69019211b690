"""Passwords of BGP peers, read from their Secrets one by one: to watch would need the right to read all Secrets there are."""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping

from skylane_operator.errors import ApiError, ApiNotFoundError
from skylane_operator.kube.client import KubeClient
from skylane_operator.kube.resource import SECRET
from skylane_operator.model.key import Key
from skylane_operator.plan.types import Password

_FIELD = "password"
_FORBIDDEN = 403
REFRESH_S = 30.0

_log = logging.getLogger(__name__)


class Passwords:
    """What has been asked for, by Secret.

    `changed` is told the Secret whose password is another than before, `used` tells whether anybody still names a Secret.
    """

    def __init__(
        self, client: KubeClient, changed: Callable[[Key], None], used: Callable[[Key], bool]
    ) -> None:
        self._client, self._changed, self._used = client, changed, used
        self.known: Mapping[Key, Password] = {}

    async def need(self, secret: Key) -> None:
        """Have it in `known`. Raises ApiError if that cannot be found out now."""
        if secret not in self.known:
            self.known = {**self.known, secret: await self._read(secret)}

    def forget(self) -> None:
        """Have all read anew: while another replica led, nobody looked after them."""
        self.known = {}

    async def keep(self) -> None:
        """Read all anew, now and then, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Read all anew; what cannot be read now is as it was."""
        self.known = {secret: one for secret, one in self.known.items() if self._used(secret)}
        for secret in list(self.known):
            try:
                password = await self._read(secret)
            except ApiError as error:
                _log.warning("Secret %s: %s", secret, error)
                continue
            if password != self.known[secret]:
                self.known = {**self.known, secret: password}
                self._changed(secret)

    async def _read(self, secret: Key) -> Password:
        try:
            body = await self._client.request("GET", SECRET.path(secret))
        except ApiNotFoundError:
            return Password(fault=f"Secret {secret} does not exist; create it with the key {_FIELD}")
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            return Password(
                fault=f"the operator may not get Secret {secret}; name it in the chart's value bgp.passwordSecrets"
            )
        try:
            text = base64.b64decode((body.get("data") or {})[_FIELD]).decode("ascii")
        except KeyError:
            return Password(fault=f"Secret {secret} has no key {_FIELD}")
        except UnicodeDecodeError:
            return Password(fault=f"Secret {secret}: {_FIELD} is not ASCII")
        return Password(text=text)
