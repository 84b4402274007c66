"""A lock for state that all threads share."""

from __future__ import annotations

import os
import threading


class SharedLock:
    """Has a ``lock``, which a thread may take again; in a child process a new one, as a thread that is no more may have held it
    at the fork.
    """

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()
