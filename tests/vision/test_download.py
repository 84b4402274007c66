"""Downloads, from a server on this machine."""

import hashlib
import http.server
import os
import socket
import threading

import pytest

from minigrad.vision.download import checksum, fetch

CONTENT = bytes(range(256)) * 5000  # more than one block
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path == "/broken-off":  # a chunk is announced, and half of it comes
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"10\r\n12345678")
            self.close_connection = True
            return
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path == "/short":
            self.wfile.write(CONTENT[:1000])
            self.close_connection = True
        else:
            self.wfile.write(CONTENT)

    def log_message(self, format, *args):
        return None


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_right_file(server, tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    fetch(f"{server}/file", path, MD5)
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["file.bin"]
    assert checksum(path) == MD5


@pytest.mark.parametrize("digits", [8, 64])
def test_other_checksums_and_their_beginnings(server, tmp_path, digits):
    path = tmp_path / "file.bin"
    fetch(f"{server}/file", path, SHA256[:digits], "sha256")
    assert path.read_bytes() == CONTENT
    assert checksum(path, "sha256") == SHA256


@pytest.mark.parametrize(
    ("expected", "algorithm", "words", "found"),
    [
        ("0" * 32, "md5", f"md5 {'0' * 32}", MD5),
        ("0" * 64, "sha256", f"sha256 {'0' * 64}", SHA256),
        ("01234567", "sha256", "sha256 beginning with 01234567", SHA256),
        (SHA256[1:9], "sha256", f"sha256 beginning with {SHA256[1:9]}", SHA256),
    ],
)
def test_wrong_checksum_leaves_no_file(server, tmp_path, expected, algorithm, words, found):
    with pytest.raises(RuntimeError, match=f"expected {words} for {server}/file, got {found}; get .* \\({words}\\) by"):
        fetch(f"{server}/file", tmp_path / "file.bin", expected, algorithm)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(RuntimeError, match=f"could not be fetched, since nothing can be written to {tmp_path / 'file'} "):
        fetch(f"{server}/file", tmp_path / "file" / "file.bin", MD5)
    assert (tmp_path / "file").read_bytes() == b"before"


@pytest.mark.parametrize("page", ["missing", "broken-off", "short"])
def test_failure_leaves_no_file(server, tmp_path, page):
    url = f"{server}/{page}"
    with pytest.raises(RuntimeError) as raised:
        fetch(url, tmp_path / "file.bin", MD5)
    assert f"get {url} (md5 {MD5}) by other means and put it at {tmp_path / 'file.bin'}" in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_failure_leaves_the_file_that_was_there(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError):
        fetch(f"{server}/short", path, MD5)
    assert path.read_bytes() == b"before"


def test_unreachable(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(RuntimeError) as raised:
            fetch(url, tmp_path / "file.bin", MD5)
    for part in (url, MD5, str(tmp_path / "file.bin"), "could not be fetched"):
        assert part in str(raised.value)
    assert os.listdir(tmp_path) == []
