"""Fetching a published file once, into a folder, with its checksum verified before anybody sees it."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path


def fetch(url: str, path: Path, md5: str) -> None:
    """Download ``url`` to ``path``; the file appears there whole and verified, or not at all.

    Args:
        url: what to fetch.
        path: where to put it; its folder is made.
        md5: the published checksum.

    Raises:
        RuntimeError: if the network or the server does not give the file, or what came has another checksum.
    """
    advice = f"get {url} (md5 {md5}) by other means and put it at {path}"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, partial.open("wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)
        found = checksum(partial)
        if found != md5:
            raise RuntimeError(f"download: expected md5 {md5} for {url}, got {found}; {advice}")
        os.replace(partial, path)
    except (OSError, HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer, too
        raise RuntimeError(f"download: {url} could not be fetched ({error}); {advice}") from error
    finally:
        partial.unlink(missing_ok=True)


def checksum(path: Path) -> str:
    """The MD5 of a file, as published checksums are given: it guards against damage, not against malice."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
