"""What a command does to the process that it runs in, undone."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from s2sw.pipeline.privacy.environment import NO_METADATA, OFFLINE

UMASK = 0o022
"""What each test starts under, whoever starts the tests and whatever ran before in the same process."""


@contextmanager
def restored() -> Iterator[None]:
    """Undo what a run does to its process: switches, threads; in private mode umask, log records, hooks."""
    os.umask(UMASK)
    switches = {name: os.environ.get(name) for name in (*OFFLINE, NO_METADATA)}
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, logging.getLogRecordFactory()
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os.umask(UMASK)
        for name, value in switches.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        sys.excepthook, sys.unraisablehook, threading.excepthook = hooks[:3]
        logging.setLogRecordFactory(hooks[3])
        logging.raiseExceptions = True
        if torch:
            torch.set_num_threads(threads)
