"""The share of the tasks that a subjob counts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What a subjob counts.

    Attributes:
        plan: a digest of what the plan is made from.
        subjob: the number of the subjob, from 0.
        subjobs: how many there are.
        tasks: the numbers of its tasks in the plan.
    """

    plan: str
    subjob: int
    subjobs: int
    tasks: tuple[int, ...]

    def __str__(self) -> str:
        return f"subjob {self.subjob + 1} of {self.subjobs}"
