"""What survives a restart."""

from podling.network.state import State


def test_records_survive_without_closing(tmp_path):
    state = State(tmp_path / "deep" / "n.db")
    state.put("network", "b", {"name": "blue"})
    state.put("network", "a", {"name": "green"})
    state.put("network", "b", {"name": "red"})
    state.put("endpoint", "e", [1, 2])
    state.delete("network", "none")
    again = State(tmp_path / "deep" / "n.db")
    assert list(again.all("network")) == [{"name": "green"}, {"name": "red"}]
    again.delete("endpoint", "e")
    again.flush()
    assert list(state.all("endpoint")) == []
    again.close()
    state.close()
