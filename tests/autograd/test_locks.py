"""Locks that a child process finds free."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HELD_BY_ANOTHER_THREAD = """
import os, threading
from minigrad.autograd.locks import SharedLock

shared, taken = SharedLock(), threading.Event()

def hold():
    with shared.lock:
        taken.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
taken.wait()
child = os.fork()
free = shared.lock.acquire(timeout=0.1)
if child == 0:
    os._exit(0 if free else 1)
assert not free and os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_process_finds_the_lock_free():
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", HELD_BY_ANOTHER_THREAD], check=True, timeout=60)
