from podling.api.field import at


def test_a_cursor_knows_its_path():
    pod = {"spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"hostPort": 1}]}]}, "data": {"k.ey": "v"}}
    paths = [(port / "hostPort").path for container in at(pod, "spec", "containers") for port in container / "ports"]
    assert paths == ["spec.containers[1].ports[0].hostPort"]
    assert [entry.path for _, entry in at(pod, "data").entries()] == ["data[k.ey]"]


def test_what_is_absent_is_none_all_the_way_down():
    nothing = at({}, "spec") / "template" / "spec"
    assert nothing.value is None
    assert list(nothing) == []
    assert nothing.path == "spec.template.spec"


def test_errors_show_the_value_as_json():
    cursor = at({"a": {"b": 'say "hi"', "n": -1, "o": {"x": [1]}, "t": True}}, "a")
    assert str((cursor / "b").invalid("no")) == 'a.b: Invalid value: "say \\"hi\\"": no'
    assert str((cursor / "n").invalid("no")) == "a.n: Invalid value: -1: no"
    assert str((cursor / "o").duplicate()) == 'a.o: Duplicate value: {"x":[1]}'
    assert str((cursor / "t").unsupported(("A", "B"), "x")) == 'a.t: Unsupported value: "x": supported values: "A", "B"'
    assert str((cursor / "b").too_long(3)) == "a.b: Too long: may not be more than 3 bytes"
    assert str((cursor / "o").too_many(5, 3)) == "a.o: Too many: 5: must have at most 3 items"
    assert str((cursor / "b").forbidden("never")) == "a.b: Forbidden: never"
    assert str((cursor / "b").not_found()) == 'a.b: Not found: "say \\"hi\\""'
