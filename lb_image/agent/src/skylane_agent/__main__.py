"""`skylane-agent`: start, and stop on SIGTERM or SIGINT."""

import asyncio
import logging
import os
import signal
import sys

from skylane_agent.agent import run
from skylane_agent.errors import AgentError
from skylane_agent.settings import AgentSettings, settings_from

log = logging.getLogger("skylane_agent")


async def _run_until_signal(settings: AgentSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)
    log.info("stopped; the forwarder goes on")


def main() -> None:
    """Entry point. Ends with status 1 and one line when it cannot run at all."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run_until_signal(settings_from(os.environ)))
    except (AgentError, OSError) as error:
        log.error("cannot run: %s", error)  # noqa: TRY400 - a line for the operator of the pod, not a traceback
        sys.exit(1)


if __name__ == "__main__":
    main()
