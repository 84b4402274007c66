"""``python -m minigrad.io inspect FILE``: what a checkpoint has in it, and what minigrad.load would refuse.

Nothing in the file is run. The exit code is 1 if a file cannot be read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence

from .errors import CheckpointError, printable
from .inspect import as_plain_data, inspect_file, lines_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the files have; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m minigrad.io", description="Tools for checkpoint files.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    inspect = commands.add_parser(
        "inspect",
        help="list what a file has",
        description="List a file's tensors, other values, and the names that minigrad.load would refuse. Nothing in it is"
        " run. The tensors' elements are not read, so damage to them, which load would find, goes unseen.",
    )
    inspect.add_argument("files", nargs="+", metavar="FILE", help="a checkpoint of torch or minigrad, or a safetensors file")
    inspect.add_argument("--json", action="store_true", help="one line of JSON for each file")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        readable = [inspect_one(path, options.json) for path in options.files]
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough; Python's own flush at the exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0 if all(readable) else 1


def inspect_one(path: str, as_json: bool) -> bool:
    """Print what a file has, or on stderr why it cannot be read; the result says which."""
    try:
        report = inspect_file(path)
    except (CheckpointError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        print(f"inspect: {printable(path)}: {printable(str(problem))}", file=sys.stderr)
        return False
    if as_json:
        print(json.dumps({"file": path, **as_plain_data(report)}))
    else:
        first, *others = lines_of(report)
        print(f"{printable(path)}: {first}", *others, sep="\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
