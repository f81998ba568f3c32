"""How long does `kubectl apply` of a manifest of 500 objects take: when nothing is there, when all is, and server-side?

kubectl asks for one object after the other: its own time stands beside it, as that of the same command with --dry-run=client.
For each object that is there it reads the whole OpenAPI document of the group twice over (its client keeps the bytes, not what
they mean): with --openapi-patch=false it does not, and what is left is the requests.
"""

import subprocess
import tempfile
from pathlib import Path

import orjson

import table
import timing
from apiservers import Server, serving

COUNT = 500
TIMEOUT = 300


def manifest() -> bytes:
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"object-{number}"}, "data": {"key": "x" * 500}}
        for number in range(COUNT)
    ]
    return orjson.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def main() -> None:
    timing.clean_up_on_signals()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        (folder / "objects.json").write_bytes(manifest())
        with serving(folder) as server:
            rows = [
                (what, table.duration(seconds), f"{seconds / COUNT * 1e3:.1f} ms")
                for what, seconds in ((what, _apply(server, folder, *options)) for what, options in COMMANDS.items())
            ]
    table.show(f"kubectl apply of {COUNT} objects", ("", "time", "an object"), rows)


COMMANDS = {
    "kubectl alone (--dry-run=client)": ("--dry-run=client",),
    "all are new": (),
    "nothing has changed": (),
    "nothing has changed, --openapi-patch=false": ("--openapi-patch=false",),
    "--server-side": ("--server-side", "--force-conflicts"),
}


def _apply(server: Server, folder: Path, *options: str) -> float:
    """Seconds of one command."""
    where = [f"--server=http://127.0.0.1:{server.port}", f"--cache-dir={folder}/cache", f"--filename={folder}/objects.json"]
    command = ["kubectl", "apply", *where, *options]
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), "KUBECONFIG": "/dev/null"}
    return timing.timed(lambda: subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT, env=environment))


if __name__ == "__main__":
    main()
