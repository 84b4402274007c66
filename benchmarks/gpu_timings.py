"""Single operations and training steps on a GPU beside torch's, and beside what the GPU can do: sections of ``gpu_check``.

Each library is measured in a process of its own, the two in turn, row by row; an error costs its row alone. Ratios are
minigrad's time over torch's, of whose layouts in memory the faster counts. Fractions of the limit are FLOPs over time over the
rate of a large product in the same precision, or the bytes that must move at least (each input read once, each output written
once) over time over the rate of a large copy; both rates are measured in the same run, and the faster library's counts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from .gpu_rows import LIMITS, NETWORK_PRECISIONS, NETWORKS, OPERATIONS, PRECISIONS, Network, precisions
from .gpu_worker import Deadline, Figures, Worker, errors_in
from .ops import Row
from .train_step import CHANNELS_LAST

OPERATION_SECONDS = 30.0
"""That a row may take in one library."""

NETWORK_SECONDS = 90.0

START_SECONDS = 60.0
"""More for the first question: the libraries are loaded then, and kernels compiled."""

LAYOUTS = {"torch": "contiguous", CHANNELS_LAST: "channels last"}

Save = Callable[[], None]


def workers() -> dict[str, Worker]:
    """Of the libraries that are there."""
    libraries = ["minigrad", *(["torch"] if importlib.util.find_spec("torch") else [])]
    return {library: Worker("benchmarks.gpu_measure", library) for library in libraries}


def ask_all(processes: dict[str, Worker], question: Figures, seconds: float, deadline: Deadline) -> dict[str, Figures]:
    """The figures of all libraries by the names they answered with, a library's failures under its own name."""
    found: dict[str, Figures] = {}
    for library, worker in processes.items():
        more = START_SECONDS if worker.process is None else 0.0
        answer = worker.ask(question, min(seconds + more, deadline.left()))
        errors = errors_in(answer)
        found |= {name: figures for name, figures in answer.items() if "error" not in figures}
        if errors:
            found[f"{library} failed"] = {"error": "; ".join(errors)}
    return found


def measure_limits(processes: dict[str, Worker], deadline: Deadline) -> dict[str, float]:
    """``copy`` in GB/s, and TFLOP/s by precision; what could not be measured is missing."""
    limits: dict[str, float] = {}
    for limit, precision in (("copy", PRECISIONS[0]), *(("product", precision) for precision in PRECISIONS)):
        found = ask_all(processes, {"row": limit, "precision": precision}, OPERATION_SECONDS, deadline)
        times = [figures["ms"] for figures in found.values() if "ms" in figures]
        if times:
            rate = LIMITS[limit].case.work("forward") / (1e-3 * min(times))
            limits["copy" if limit == "copy" else precision] = rate * (1e-9 if limit == "copy" else 1e-12)
        for error in errors_in(found):
            print(f"  {LIMITS[limit].title}, {precision}: {error}", flush=True)
    units = {"copy": "GB/s"}
    print(
        "  limits: " + ", ".join(f"{name} {rate:.1f} {units.get(name, 'TFLOP/s')}" for name, rate in limits.items()), flush=True
    )
    return limits


# --- operations --------------------------------------------------------------------------------------------------------


def time_operations(found: Figures, save: Save, deadline: Deadline) -> list[str]:
    failures: list[str] = []
    rows: dict[str, Figures] = {}
    processes = workers()
    try:
        found |= {"limits": measure_limits(processes, deadline), "rows": rows}
        print(f"  {'':58}{'ms':>17}{'torch ms':>10}  {'layout':14}{'ratio':>6}", end="")
        print(f"{'of limit':>10}{'torch':>7}{'host ms':>9}{'torch':>8}", flush=True)
        for name, row in OPERATIONS.items():
            for precision in precisions(row):
                label = f"{name} {precision}"
                if not deadline.left():
                    failures.append(f"{label}: no time left")
                    continue
                measured = ask_all(processes, {"row": name, "precision": precision}, OPERATION_SECONDS, deadline)
                rows[label] = operation_result(row, precision, measured, found["limits"])
                failures += [f"{label}, {error}" for error in errors_in(measured)]
                print("  " + operation_line(row, precision, rows[label]), flush=True)
                save()
    finally:
        for worker in processes.values():
            worker.close()
    return failures


def operation_result(row: Row, precision: str, measured: dict[str, Figures], limits: dict[str, float]) -> Figures:
    """What was measured, the faster of torch's layouts, the ratio, and fractions of the limit, as far as they are known."""
    result: Figures = dict(measured)
    peers = [library for library in LAYOUTS if library in measured]
    if peers:
        result["best"] = min(peers, key=lambda library: measured[library]["ms"])
    limit, unit = (precision, 1e12) if row.case.limit == "sgemm" else ("copy", 1e9)
    if limit in limits:
        for key, library in (("fraction", "minigrad"), ("peer_fraction", result.get("best"))):
            if library in measured:
                result[key] = row.case.work(row.what) / (1e-3 * measured[library]["ms"]) / (unit * limits[limit])
    if "minigrad" in measured and peers:
        result["ratio"] = measured["minigrad"]["ms"] / measured[result["best"]]["ms"]
    return result


def operation_line(row: Row, precision: str, result: Figures) -> str:
    """A row of the table, a dash for what is missing, and errors behind it."""
    own, peer = result.get("minigrad", {}), result.get(result.get("best"), {})
    text = f"{row.title:58} {precision:5}{number(own.get('ms'), 11, 4)}{number(peer.get('ms'), 10, 4)}"
    text += f"  {LAYOUTS.get(result.get('best'), ''):14}{number(result.get('ratio'), 6, 2)}"
    text += f"{number(result.get('fraction'), 10, 2)}{number(result.get('peer_fraction'), 7, 2)}"
    text += f"{number(own.get('host_ms'), 9, 3)}{number(peer.get('host_ms'), 8, 3)}"
    return text + shown_errors(result)


# --- networks ----------------------------------------------------------------------------------------------------------


def time_networks(found: Figures, save: Save, deadline: Deadline) -> list[str]:
    failures: list[str] = []
    rows: dict[str, Figures] = {}
    processes = workers()
    try:
        found |= {"limits": measure_limits(processes, deadline), "rows": rows}
        print(f"  {'':24}{'batch':>11}{'eager ms':>11}{'captured':>10}{'torch ms':>10}{'ch. last':>10}{'ratio':>7}", end="")
        print(f"{'images/s':>10}{'torch':>8}{'of limit':>10}{'torch':>7}{'host ms':>9}{'torch':>8}{'MB':>8}{'torch':>8}")
        for name, row in NETWORKS.items():
            if not deadline.left():
                failures.append(f"{name}: no time left")
                continue
            measured = ask_all(processes, {"network": name}, NETWORK_SECONDS, deadline)
            failures += [f"{name}, {error}" for error in errors_in(measured)]
            for precision in NETWORK_PRECISIONS:
                result = network_result(row, precision, measured, found["limits"])
                rows[f"{name} {precision}"] = result
                print("  " + network_line(row, precision, result), flush=True)
            if errors := errors_in(measured):
                rows[f"{name} errors"] = {"errors": errors}
                print("\n".join(f"    {error}" for error in errors), flush=True)
            save()
    finally:
        for worker in processes.values():
            worker.close()
    return failures


def network_result(row: Network, precision: str, measured: dict[str, Figures], limits: dict[str, float]) -> Figures:
    """The figures of a precision, the better of both libraries' ways, images/s, the ratio, and fractions of the limit."""
    ways = {name.removesuffix(f" {precision}"): figures for name, figures in measured.items() if name.endswith(f" {precision}")}
    result: Figures = dict(ways)
    for prefix, own in (("", ("eager", "captured")), ("peer_", tuple(LAYOUTS))):
        there = [way for way in own if way in ways]
        if not there:
            continue
        best = min(there, key=lambda way: ways[way]["ms"])
        result[f"{prefix}best"] = best
        result[f"{prefix}images_per_s"] = 1e3 * row.batch / ways[best]["ms"]
        if "work" in measured and precision in limits:
            rate = measured["work"]["gflop"] / ways[best]["ms"]  # TFLOP/s
            result[f"{prefix}fraction"] = rate / limits[precision]
    if "best" in result and "peer_best" in result:
        result["ratio"] = ways[result["best"]]["ms"] / ways[result["peer_best"]]["ms"]
    return result


def network_line(row: Network, precision: str, result: Figures) -> str:
    """A row of the table, a dash for what is missing."""
    text = f"{row.title:24}{row.batch:6}{precision:>5}"
    for width, way in ((11, "eager"), (10, "captured"), (10, "torch"), (10, CHANNELS_LAST)):
        text += number(result.get(way, {}).get("ms"), width, 3)
    text += f"{number(result.get('ratio'), 7, 2)}{number(result.get('images_per_s'), 10, 0)}"
    text += number(result.get("peer_images_per_s"), 8, 0)
    text += f"{number(result.get('fraction'), 10, 2)}{number(result.get('peer_fraction'), 7, 2)}"
    own, peer = result.get("eager", {}), result.get(result.get("peer_best"), {})
    for key, widths, digits in (("host_ms", (9, 8), 2), ("reserved_mb", (8, 8), 0)):
        text += number(own.get(key), widths[0], digits) + number(peer.get(key), widths[1], digits)
    return text


def number(value: float | None, width: int, digits: int) -> str:
    return f"{'–':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def shown_errors(result: dict[str, Any]) -> str:
    errors = errors_in({name: figures for name, figures in result.items() if isinstance(figures, dict)})
    return "".join(f"\n    {error}" for error in errors)
