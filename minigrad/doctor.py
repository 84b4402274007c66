"""What minigrad finds on this machine, and what to install: ``python -m minigrad.doctor``.

With ``--cuda``, the exit status is 1 unless CUDA works.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from .backends.cpu.cpus import usable_cpus
from .backends.cpu.threads import get_num_threads
from .backends.cuda.diagnosis import Finding, examine


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m minigrad.doctor", description="What minigrad finds on this machine.")
    parser.add_argument("--cuda", action="store_true", help="exit with status 1 unless CUDA works")
    options = parser.parse_args(arguments)
    found = {"Python": list(software()), "CPU": list(cpu()), "CUDA": list(examine())}
    for title, findings in found.items():
        print(title)
        for finding in findings:
            print(f"  {finding.subject:13} {finding.found}")
            if finding.advice:
                print(f"  {'':13} -> {finding.advice}")
    works = found["CUDA"][-1].subject == "kernels" and not any(finding.advice for finding in found["CUDA"])
    return int(options.cuda and not works)


def software() -> Iterator[Finding]:
    """Python, and what minigrad needs."""
    yield Finding("Python", f"{platform.python_version()}, {platform.platform()}")
    for name in ("minigrad", "numpy", "scipy", "threadpoolctl"):
        try:
            yield Finding(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "not installed", "" if name == "minigrad" else f"pip install {name}")
    try:
        yield Finding("ml_dtypes", metadata.version("ml_dtypes"))
    except metadata.PackageNotFoundError:
        yield Finding("ml_dtypes", "not installed", "pip install 'minigrad[bfloat16]' for bfloat16")


def cpu() -> Iterator[Finding]:
    """The CPU, and who multiplies matrices on it."""
    yield Finding("model", _model())
    yield Finding("threads", f"{get_num_threads()} of minigrad's, {usable_cpus()} usable CPUs")
    try:
        libraries = importlib.import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return
    for library in libraries:
        if library["user_api"] == "blas":
            kernel = library.get("architecture") or "unknown"
            version = f"{library['internal_api']} {library['version']}"
            yield Finding("BLAS", f"{version}, kernels for {kernel}, {library['num_threads']} threads")


def _model() -> str:
    """The processor's name."""
    described = Path("/proc/cpuinfo")  # Linux has it
    for line in described.read_text().splitlines() if described.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
