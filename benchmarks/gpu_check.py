"""All that can be known of minigrad on a GPU, in ten minutes at most: python -m benchmarks.gpu_check

First what is right: every operation on ``cuda`` beside the CPU (``table``), ResNet-20 trained on the digits on both devices
(``training``), captured steps against eager ones (``graph``). Then what is fast: single operations (``operations``) and the
training of the classic networks (``networks``) beside torch's, where torch is installed, and beside the GPU's own limits.

Figures are printed as they come, and written to --json after every row: what is cut off leaves what it had found. A section
that fails takes nothing from the others. The exit status is 1 if anything failed, or was left out for want of time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .compare_backends import gpu_name, why_no_gpu
from .gpu_correctness import check_graph, check_training
from .gpu_tests import check_table
from .gpu_timings import time_networks, time_operations
from .gpu_worker import Deadline, Figures, describe
from .measure import machine

PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "torch")


class Section(NamedTuple):
    """A part of the check, and the seconds that it may take."""

    title: str
    run: Callable[[Figures, Callable[[], None], Deadline], list[str]]
    seconds: float


SECTIONS = {
    "table": Section("the tests that need a GPU", check_table, 180),
    "training": Section("ResNet-20 on the digits, on both devices", check_training, 90),
    "graph": Section("captured steps against eager ones", check_graph, 60),
    "operations": Section("single operations", time_operations, 120),
    "networks": Section("training steps", time_networks, 300),
}


def run(names: Sequence[str], report: Figures, save: Callable[[], None], deadline: Deadline) -> list[str]:
    """One section after another; what each found is in the report. Returns what failed."""
    failures: list[str] = []
    for name in names:
        section, found = SECTIONS[name], {}
        report["sections"][name] = found
        own = Deadline(section.seconds, deadline)
        before = deadline.left()
        print(f"\n{name}: {section.title}", flush=True)
        if before:
            try:
                failed = section.run(found, save, own)
            except Exception as error:
                traceback.print_exc()
                failed = [describe(error)]
        else:
            failed = ["no time left"]
        found["seconds"], found["failed"] = before - deadline.left(), failed
        save()
        failures += [f"{name}: {failure}" for failure in failed]
        print(f"{name}: {len(failed)} failures, {found['seconds']:.0f} s", flush=True)
    return failures


def versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    some = f"some of: {', '.join(SECTIONS)}"
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=some)
    parser.add_argument("--minutes", type=float, default=9.5, help="for all of them; what does not fit is left out")
    parser.add_argument("--json", type=Path, default=Path("gpu_check.json"), help="where the figures go")
    options = parser.parse_args(arguments)
    if missing := why_no_gpu():
        print(f"gpu_check: {missing}", file=sys.stderr)
        return 1
    deadline = Deadline(60 * options.minutes)
    report: Figures = {"machine": machine(os.cpu_count()), "gpu": gpu_name(), "packages": versions(), "sections": {}}

    def save() -> None:
        partial = options.json.with_suffix(".part")
        partial.write_text(json.dumps(report, indent=1) + "\n")
        os.replace(partial, options.json)

    print(f"{report['machine']}; {report['gpu']}; " + ", ".join(f"{name} {version}" for name, version in versions().items()))
    failures = run(options.sections, report, save, deadline)
    print(f"\n{len(failures)} failures; the figures are in {options.json}")
    for failure in failures:
        print(f"  {failure.splitlines()[0]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
