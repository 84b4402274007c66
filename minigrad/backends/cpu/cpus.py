"""How many CPUs there are for this process."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """How many CPUs this process may use: its affinity, and the quota of its control group where there is one."""
    try:
        number = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        number = os.cpu_count() or 1
    return max(1, min(number, _quota("/sys/fs/cgroup") or number))


def _quota(root: str) -> int:
    """The CPUs that a Linux control group allows, rounded up; 0 for no limit."""
    try:
        with open(f"{root}/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        try:
            with open(f"{root}/cpu/cpu.cfs_quota_us") as first, open(f"{root}/cpu/cpu.cfs_period_us") as second:
                quota, period = first.read().strip(), second.read().strip()
        except OSError:
            return 0
    if quota in ("max", "-1"):
        return 0
    return -(-int(quota) // int(period))
