import pytest

from podling.base.errors import Conflict, InvalidInput, NotFound
from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.types import ExecSpec
from podling.testing.engine import run

pytestmark = pytest.mark.root


@pytest.fixture
async def box(engine: Engine) -> Container:
    return await run(engine, "sleep", "100", env=("FOO=bar",), working_dir="/tmp")


async def outcome(box: Container, *command: str, **fields: object) -> tuple[bytes, int]:
    return await (await box.exec(ExecSpec(command, **fields))).run(1 << 20)  # type: ignore[arg-type]


async def test_output_and_exit_codes(box: Container) -> None:
    assert await outcome(box, "sh", "-c", "echo $FOO $PWD; exit 4") == (b"bar /tmp\n", 4)
    assert await outcome(box, "sh", "-c", "kill -9 $$") == (b"", 137)
    assert await outcome(box, "false") == (b"", 1)


async def test_environment_user_and_place(box: Container) -> None:
    out, code = await outcome(
        box, "sh", "-c", "id -u; id -g; pwd; echo $FOO", user="nobody", working_dir="/etc", env=("FOO=new",)
    )
    assert (out, code) == (b"65534\n65534\n/etc\nnew\n", 0)
    with pytest.raises(InvalidInput, match="unable to find user ghost"):
        await box.exec(ExecSpec(("true",), user="ghost"))


@pytest.mark.parametrize(("command", "code", "words"), [("nosuch", 127, "executable file not found in $PATH"), ("/etc", 126, "")])
async def test_what_cannot_be_run(box: Container, command: str, code: int, words: str) -> None:
    out, got = await outcome(box, command)
    assert got == code
    text = out.decode()
    assert text.startswith(f'OCI runtime exec failed: exec failed: unable to start container process: exec: "{command}": {words}')
    assert text.count("OCI runtime") == 1
    assert text.endswith(": unknown\r\n")


async def test_stdin(box: Container) -> None:
    execution = await box.exec(ExecSpec(("wc", "-c"), stdin=True))
    attachment = await execution.start()
    attachment.write(b"x" * 1_000_000)
    await attachment.drain()
    attachment.close_stdin()
    assert await attachment.read() == ("stdout", b"1000000\n")
    assert await attachment.read() is None
    assert await execution.wait() == 0


async def test_a_terminal_with_its_size(box: Container) -> None:
    execution = await box.exec(ExecSpec(("sh", "-c", "stty size; read x; stty size; exit 9"), tty=True, stdin=True))
    attachment = await execution.start(rows=33, columns=77)
    out = b""
    while b"33 77" not in out:
        chunk = await attachment.read()
        assert chunk is not None
        out += chunk[1]
    execution.resize(40, 100)
    attachment.write(b"\n")
    while (chunk := await attachment.read()) is not None:
        out += chunk[1]
    assert b"40 100" in out
    assert await execution.wait() == 9


async def test_stdout_and_stderr_are_told_apart(box: Container) -> None:
    attachment = await (await box.exec(ExecSpec(("sh", "-c", "echo out; echo err >&2")))).start()
    chunks = [await attachment.read(), await attachment.read()]
    assert set(chunks) == {("stdout", b"out\n"), ("stderr", b"err\n")}
    assert await attachment.read() is None


async def test_it_is_found_by_its_id_and_started_once(engine: Engine, box: Container) -> None:
    execution = await box.exec(ExecSpec(("sh", "-c", "echo up; exec sleep 100")))
    assert engine.execs.find(execution.id) is execution
    assert (execution.running, execution.exit_code, execution.pid) == (False, None, 0)
    attachment = await execution.start()
    with pytest.raises(Conflict, match="already running"):
        await execution.start()
    assert await attachment.read() == ("stdout", b"up\n")
    execution.kill()
    assert await execution.wait() == 137
    assert (execution.running, execution.exit_code) == (False, 137)
    assert await attachment.read() is None
    await box.remove(force=True)
    with pytest.raises(NotFound, match="No such exec instance"):
        engine.execs.find(execution.id)


async def test_a_stopped_container_has_no_execs(box: Container) -> None:
    await box.kill()
    await box.wait()
    with pytest.raises(Conflict, match="is not running"):
        await box.exec(ExecSpec(("true",)))


async def test_runc_execs_with_and_without_a_terminal(engine: Engine) -> None:
    box = await run(engine, "sleep", "100", runtime="runc")
    assert await outcome(box, "sh", "-c", "echo hi; exit 4") == (b"hi\n", 4)
    out, code = await outcome(box, "sh", "-c", "test -t 0 && echo tty; exit 5", tty=True)
    assert (out, code) == (b"tty\r\n", 5)
    assert (await outcome(box, "nosuch"))[1] == 127
