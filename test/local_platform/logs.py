"""The log of a job, which can be read while it is written."""

import threading
from collections.abc import Iterator

from .store import now_ms

LogLine = dict[str, str | int]


class JobLog:
    """Log lines as the platform streams them."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._lines: list[LogLine] = []
        self._ended = False
        self._changed = threading.Condition()

    def write(self, message: str, source: str = "SYSTEM", level: str = "INFO") -> None:
        with self._changed:
            self._lines.append(
                {
                    "timestamp": now_ms(),
                    "source": source,
                    "level": level,
                    "job": self._job_id,
                    "line": len(self._lines),
                    "msg": message,
                }
            )
            self._changed.notify_all()

    def end(self) -> None:
        """Closes the log, so that readers stop."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def follow(self, recent: int, wait: bool) -> Iterator[LogLine]:
        """Yields the most recent lines and, if `wait` is set, new ones until the log is closed."""
        with self._changed:
            seen = max(0, len(self._lines) - recent)
        while True:
            with self._changed:
                while wait and not self._ended and len(self._lines) == seen:
                    self._changed.wait()
                new = self._lines[seen:]
            if not new:
                return
            yield from new
            seen += len(new)
