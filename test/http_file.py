"""Serves a file over HTTP with range requests, as the platform does, for tests of streaming."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from readcount.source.files import InputFiles
from readcount.source.readers import StreamedFile


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        data = self.server.content[first : last + 1]
        if not data:
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        # A client that has read enough closes the connection.
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Disables logging."""


class _Server(ThreadingHTTPServer):
    content = b""
    daemon_threads = True


@contextlib.contextmanager
def streaming(file: Path, index: Path) -> Iterator[InputFiles]:
    """Serves a BAM or CRAM; yields it as a streamed input, with its index."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.content = file.read_bytes()
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{file.name}"
        yield InputFiles(StreamedFile(file.name, len(server.content), url), index)
        server.shutdown()
