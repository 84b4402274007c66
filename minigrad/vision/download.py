"""Fetching a published file once, into a folder, with its checksum verified before anybody sees it."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path


def fetch(url: str, path: Path, expected: str, algorithm: str = "md5") -> None:
    """Download ``url`` to ``path``; the file appears there whole and verified, or not at all.

    Args:
        url: what to fetch.
        path: where to put it; its folder is made.
        expected: the published checksum in hexadecimal digits, or the beginning of it where no more is published.
        algorithm: of the checksum, as ``hashlib`` names it.

    Raises:
        RuntimeError: if nothing can be written there, the network or the server does not give the file, or what came has
            another checksum.
    """
    wanted = describe(expected, algorithm)
    advice = f"get {url} ({wanted}) by other means and put it at {path}"
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise RuntimeError(
            f"download: {url} could not be fetched, since nothing can be written to {path.parent} ({error}); {advice}"
        ) from error
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, partial.open("wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)
        found = checksum(partial, algorithm)
        if not found.startswith(expected):
            raise RuntimeError(f"download: expected {wanted} for {url}, got {found}; {advice}")
        os.replace(partial, path)
    except (OSError, HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer, too
        raise RuntimeError(f"download: {url} could not be fetched ({error}); {advice}") from error
    finally:
        if partial.is_file():
            partial.unlink()


def checksum(path: Path, algorithm: str = "md5") -> str:
    """The checksum of a file in hexadecimal digits, as published ones are given.

    MD5 and the beginning of a SHA-256 guard against damage, not against malice.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(expected: str, algorithm: str) -> str:
    """A checksum in words: ``md5 0cc1…``, or ``sha256 beginning with f37072fd``."""
    whole = len(expected) == 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
    return f"{algorithm} {expected}" if whole else f"{algorithm} beginning with {expected}"
