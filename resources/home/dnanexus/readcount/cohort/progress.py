"""Log lines with the progress of a cohort."""

import time
from collections.abc import Callable, Mapping

from readcount.text import Log, plural

# Maximum seconds between lines, even if less than a tenth was done.
SECONDS_BETWEEN_LINES = 60


class Progress:
    """Logs how many samples are done, how many have failed, and the remaining time."""

    def __init__(
        self,
        sizes: Mapping[int, float],
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the clock.

        Args:
            sizes: relative cost of each sample, by number.
            log: writes a line to the job's log.
            clock: function that returns the time in seconds.
        """
        self._sizes, self._log, self._clock = sizes, log, clock
        self._left = set(sizes)
        self._start = self._last_line = clock()
        self._tenths = self._failed = 0

    def done(self, sample: int, failed: bool) -> None:
        """Records that a sample was counted or has failed."""
        self._left.remove(sample)
        self._failed += failed
        number, now = len(self._sizes) - len(self._left), self._clock()
        tenths = 10 * number // len(self._sizes)
        if tenths == self._tenths and now < self._last_line + SECONDS_BETWEEN_LINES:
            return
        self._tenths, self._last_line = tenths, now
        failed_text = f", {self._failed:,} failed" if self._failed else ""
        left = self._time_left(now)
        self._log(f"{number:,} of {plural(len(self._sizes), 'sample')} done{failed_text}{left}")

    def _time_left(self, now: float) -> str:
        if not self._left:
            return f", in {_duration(now - self._start)}"
        left = sum(map(self._sizes.__getitem__, self._left))
        spent = sum(self._sizes.values()) - left
        return f", about {_duration((now - self._start) * left / spent)} left" if spent else ""


def _duration(seconds: float) -> str:
    """Returns a duration as text: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"
