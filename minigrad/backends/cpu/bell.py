"""How a thread waits for another without going to sleep, and without Python's lock.

To wake a thread takes the system 20 to 100 µs, as long as many a part of a kernel, and costs the one that wakes it 10. A thread
that looks again and again in Python holds the lock that others need. But ``np.logical_or.reduce`` lets go of it, and stops at
the first element that is true: over a flag that is repeated some million times, without memory, it waits for the flag.

A thread that is rung needs the lock at once, and would have to sleep if the one that rings went on in Python. So that one stays
without the lock for some microseconds: the same function writes the other's flag first, and then finds nothing for a while.
Where the one that rings waits itself, it finds its own flag.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

TURNS = 1 << 22
"""How often a thread looks before it gives up, 0.4 ns each: more than a millisecond, as OpenMP's threads do."""
DELAY = 20_000
"""How often after it has rung: until the other is in its kernel."""

has_lock: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
"""Whether Python has one now: in a free-threaded one, the import of an extension that needs it brings it back."""

_look = np.logical_or.reduce
_delay = np.broadcast_to([[True], [False]], (2, DELAY))


class Bell:
    """What one thread waits for, and others ring. It keeps threads awake, no more: a wait may end in vain, or too early."""

    def __init__(self) -> None:
        memory = np.zeros(128, bool)  # lines of memory of its own
        memory[0] = True
        self._flag = memory[1:3]  # and where the function writes what it finds next
        self._turns = np.broadcast_to(memory[1:2], TURNS)
        self._ring_and_turns = np.broadcast_to(memory[:2, None], (2, TURNS))

    def ring(self) -> None:
        if has_lock():
            _look(_delay, axis=1, out=self._flag)
        else:
            self._flag[0] = True

    def clear(self) -> None:
        """Before the wait begins: what has been rung until now does not count."""
        self._flag[0] = False

    def wait(self, ringing: Sequence[Bell] = ()) -> None:
        """Return when it has been rung, or after a millisecond; ring other bells first."""
        if not ringing:
            _look(self._turns)
            return
        for bell in ringing[:-1]:
            bell.ring()
        _look(self._ring_and_turns, axis=1, out=ringing[-1]._flag)
