"""Stands in for an agent of Ray on one machine: says that it serves on no port, and waits for its raylet.

A program of its own, with Python's own modules alone: ``ray_private.few_processes`` lets raylets start it.
"""

import os
import sys
import time
from pathlib import Path

PORTS = {
    "agent.py": ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"),
    "main.py": ("runtime_env_agent_port",),
}
"""Names of the ports that the raylet waits for, by the file that it believes to start."""
NOT_SERVED = "-1"
"""What Ray's own agents write for a service that they do not start."""
PAUSE = 1.0  # seconds


def main(script: str, *options: str) -> None:
    """Write the ports, and end with the raylet, which ends if its agents do."""
    raylet = os.getppid()
    given = dict(option.removeprefix("--").split("=", 1) for option in options if "=" in option)
    for name in PORTS[Path(script).name]:
        path = Path(given["session-dir"], f"{name}_{given['node-id']}")
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_text(NOT_SERVED)
        unfinished.replace(path)
    while os.getppid() == raylet:
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
