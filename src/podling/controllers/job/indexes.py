"""Sets of completion indexes as a Job's status writes them: `1,3-5,7`. Source: v1 JobStatus completedIndexes."""

from collections.abc import Iterable


def parse(text: str | None, below: int) -> set[int]:
    """The indexes that `text` names; those that aren't `below` the number of completions are of an earlier, larger Job."""
    found: set[int] = set()
    for part in (text or "").split(",") if text else ():
        low, _, high = part.partition("-")
        found.update(range(int(low), min(int(high or low), below - 1) + 1))
    return found


def write(indexes: Iterable[int]) -> str:
    """Runs of three and more by their ends."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(_run(run) for run in runs)


def _run(run: list[int]) -> str:
    return ",".join(map(str, run)) if len(run) < 3 else f"{run[0]}-{run[-1]}"
