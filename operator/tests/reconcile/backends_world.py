"""Backends that answer health checks."""

import contextlib
import subprocess
import uuid

from aiohttp import web


class Backends:
    """Web servers on addresses of this machine, all at one port; `status` by address."""

    def __init__(self, count):
        number = uuid.uuid4().int
        self.status = {f"198.19.{number >> 8 & 255}.{1 + (number + i) % 250}": 200 for i in range(count)}
        self.port = 0

    async def _answer(self, request):
        return web.Response(status=self.status[request.transport.get_extra_info("sockname")[0]])

    @contextlib.asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_get("/healthz", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        with contextlib.ExitStack() as stack:
            for address in self.status:
                _ip("add", address)
                stack.callback(_ip, "delete", address)
                await web.TCPSite(runner, address, self.port).start()
                self.port = runner.addresses[0][1]
            try:
                yield self
            finally:
                await runner.cleanup()


def _ip(verb, address):
    subprocess.run(["ip", "address", verb, f"{address}/32", "dev", "lo"], check=True)
