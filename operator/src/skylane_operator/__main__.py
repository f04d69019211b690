"""`skylane-operator`: settings from the environment, then run until told to stop."""

import asyncio
import logging
import signal
import sys

from skylane_operator.app import Operator
from skylane_operator.errors import SkylaneError
from skylane_operator.kube.client import KubeClient
from skylane_operator.settings import Settings

_log = logging.getLogger("skylane_operator")


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await KubeClient.connect(settings.kubeconfig) as client:
        await Operator(settings, client).run(stop)


def main() -> None:
    """Entry point. Exit status 1 with one line when the settings or the cluster cannot be used."""
    try:
        settings = Settings.from_environment()
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        logging.getLogger("kopf").setLevel(logging.WARNING)
        asyncio.run(_run(settings))
    except SkylaneError as error:
        sys.exit(f"skylane-operator: {error}")


if __name__ == "__main__":
    main()
