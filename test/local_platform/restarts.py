"""Decides whether a failed job is restarted. No I/O.

https://documentation.dnanexus.com/developer/api/running-analyses/io-and-run-specifications
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import InvalidInput

# Reasons that an executionPolicy can name. Not AppError: the user must fix the input first.
RESTARTABLE_REASONS = {
    *("AppInternalError", "AppInsufficientResourceError", "ExecutionError", "JMInternalError"),
    *("JobTimeoutExceeded", "SpotInstanceInterruption", "UnresponsiveWorker"),
}
MAX_RESTARTS = 9
# Key of the run specification: which jobs are restarted individually. "all": every job. "master":
# only the origin job, with all its subjobs.
RESTARTABLE = "restartableEntryPoints"


def check_policy(policy: Mapping[str, Any]) -> None:
    """Raises InvalidInput if the platform would reject an executionPolicy."""
    restart_on = policy.get("restartOn", {})
    if not isinstance(restart_on, dict):
        raise InvalidInput("executionPolicy.restartOn is not an object")
    unknown = set(restart_on) - RESTARTABLE_REASONS - {"*"}
    if unknown:
        raise InvalidInput(f"executionPolicy.restartOn: no restarts for {sorted(unknown)}")
    for key, number in {**restart_on, "maxRestarts": policy.get("maxRestarts", 0)}.items():
        if type(number) is not int or not 0 <= number <= MAX_RESTARTS:
            raise InvalidInput(f"executionPolicy: {key} must be from 0 to {MAX_RESTARTS}")


def check_restartable(run_spec: Mapping[str, Any]) -> None:
    """Raises InvalidInput if the value of restartableEntryPoints is unknown."""
    if run_spec.get(RESTARTABLE, "master") not in ("master", "all"):
        raise InvalidInput(f"runSpec.{RESTARTABLE} must be 'master' or 'all'")


def may_restart(policy: Mapping[str, Any], reason: str, earlier: Sequence[str]) -> bool:
    """Returns whether a failed job gets another try.

    Where the documentation is unclear, this is the strict interpretation: without a policy, no job
    is restarted, and all reasons covered by `*` share one limit.

    Args:
        policy: the executionPolicy.
        reason: failureReason of the latest try.
        earlier: failureReasons of the tries before it.
    """
    if reason not in RESTARTABLE_REASONS:
        return False
    if len(earlier) >= policy.get("maxRestarts", MAX_RESTARTS):
        return False
    restart_on: Mapping[str, int] = policy.get("restartOn", {})
    if reason in restart_on:
        return earlier.count(reason) < restart_on[reason]
    unnamed = [name for name in earlier if name not in restart_on]
    return len(unnamed) < restart_on.get("*", 0)
