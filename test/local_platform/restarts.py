"""Which failures of a job lead to another try of it. No I/O.

https://documentation.dnanexus.com/developer/api/running-analyses/io-and-run-specifications
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import InvalidInput

# What an executionPolicy can name. An AppError is for the user, and another try would not help.
RESTARTABLE_REASONS = {
    *("AppInternalError", "AppInsufficientResourceError", "ExecutionError", "JMInternalError"),
    *("JobTimeoutExceeded", "SpotInstanceInterruption", "UnresponsiveWorker"),
}
MAX_RESTARTS = 9
# The key of the run specification that says which jobs are restarted by themselves: "all", or only
# the "master", the job that was run, with everything below it.
RESTARTABLE = "restartableEntryPoints"


def check_policy(policy: Mapping[str, Any]) -> None:
    """Refuse an executionPolicy that the platform would not take. Raises InvalidInput."""
    restart_on = policy.get("restartOn", {})
    if not isinstance(restart_on, dict):
        raise InvalidInput("executionPolicy.restartOn is not an object")
    unknown = set(restart_on) - RESTARTABLE_REASONS - {"*"}
    if unknown:
        raise InvalidInput(f"executionPolicy.restartOn: no job is restarted on {sorted(unknown)}")
    for key, number in {**restart_on, "maxRestarts": policy.get("maxRestarts", 0)}.items():
        if type(number) is not int or not 0 <= number <= MAX_RESTARTS:
            raise InvalidInput(f"executionPolicy: {key} is from 0 to {MAX_RESTARTS}")


def check_restartable(run_spec: Mapping[str, Any]) -> None:
    """Refuse restartableEntryPoints that the platform does not know. Raises InvalidInput."""
    if run_spec.get(RESTARTABLE, "master") not in ("master", "all"):
        raise InvalidInput(f"runSpec.{RESTARTABLE} is 'master' or 'all'")


def may_restart(policy: Mapping[str, Any], reason: str, earlier: Sequence[str]) -> bool:
    """Whether a job gets another try after it failed for a reason.

    `earlier` are the reasons of the tries before. Two things the documentation leaves open, and
    the strict reading is taken: without a policy nothing is tried again, and all the reasons that
    `*` stands for share its number.
    """
    if reason not in RESTARTABLE_REASONS:
        return False
    if len(earlier) >= policy.get("maxRestarts", MAX_RESTARTS):
        return False
    restart_on: Mapping[str, int] = policy.get("restartOn", {})
    if reason in restart_on:
        return earlier.count(reason) < restart_on[reason]
    others = [name for name in earlier if name not in restart_on]
    return len(others) < restart_on.get("*", 0)
