"""Parts of a podling are killed at random: what runs in it ends up as asked for, nothing runs or counts twice."""

import pytest

from podling.testing.chaos import Ledger, parse_indexes, twice
from podling.testing.workloads import eventually


@pytest.mark.root
def test_an_identity_that_runs_twice_is_seen(podling):
    try:
        podling.docker("run", "-d", "--name", "one", "-e", "CHAOS_POD=db-0", "busybox", "sleep", "1000")
        eventually(lambda: podling.docker("exec", "one", "true").returncode == 0)
        assert list(twice(podling.config.instance)) == []
        podling.docker("run", "-d", "--name", "two", "-e", "CHAOS_POD=db-0", "busybox", "sleep", "1000")
        assert eventually(lambda: list(twice(podling.config.instance))) == ["db-0"]
    finally:
        podling.docker("rm", "-f", "one", "two", check=False)


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ([(0, ""), (1, "1"), (3, "0-2")], ""),
        ([(2, "0,1"), (1, "1")], "has lost the completions [0]"),
        ([(2, "1")], "counts 2 completions of the indexes [1]"),
        ([(1, "7")], "counts [7], whose work was not done"),
    ],
)
def test_what_a_job_may_not_tell(tmp_path, statuses, words):
    (tmp_path / "indexes").write_text("1\n0\n0\n2\n")
    ledger = Ledger(tmp_path)
    told = [text for succeeded, indexes in statuses for text in ledger.see(succeeded, parse_indexes(indexes))]
    assert (words in told[0]) if words else not told
