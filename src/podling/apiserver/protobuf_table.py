"""Makes `field_numbers.json`: the protobuf field numbers of the API's types, read from the Go structs that define them.

Run it when the API's version changes: `python -m podling.apiserver.protobuf_table API APIMACHINERY EXTENSIONS AGGREGATOR`, with
the source folders of the Go modules k8s.io/api, apimachinery, apiextensions-apiserver and kube-aggregator. A type's entry is
`NUMBER NAME` separated by commas; `!` behind a name keeps zero values (the field is a pointer in Go, or never omitted), and
`>TYPE` in the place of a name is a message whose fields stand in its owner's JSON.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from podling.api.schema import schemas

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r'^\s*(?:\w+\s+)?([*\[\]\w.]+)\s+`json:"([^"]*)"[^`]*?protobuf:"\w+,(\d+),', re.MULTILINE)
_ALIAS = re.compile(r"^type (\w+) = (v\w+)\.(\w+)$", re.MULTILINE)
_SERVED = re.compile(r"v\d+(beta\d+)?")
_MACHINERY = "io.k8s.apimachinery.pkg.apis.meta.v1"


def packages(api: Path, machinery: Path, extensions: Path, aggregator: Path) -> Iterator[tuple[str, Path]]:
    """(the name that schemas give a package, its folder)."""
    yield _MACHINERY, machinery / "pkg/apis/meta/v1"
    yield "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1", extensions / "pkg/apis/apiextensions/v1"
    yield "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1", aggregator / "pkg/apis/apiregistration/v1"
    for folder in sorted(api.glob("*/v*")):
        if _SERVED.fullmatch(folder.name):
            yield f"io.k8s.api.{folder.parent.name}.{folder.name}", folder


def entries(package: str, source: str) -> Iterator[tuple[str, str]]:
    """(type, its entry) for each struct with protobuf tags."""
    for name, body in _STRUCT.findall(source):
        fields = [f"{number} {_named(package, go_type, tag)}" for go_type, tag, number in _FIELD.findall(body)]
        if fields:
            yield f"{package}.{name}", ",".join(fields)


def _named(package: str, go_type: str, tag: str) -> str:
    name, *options = tag.split(",")
    if not name:
        inner = go_type.lstrip("*")
        return ">" + (f"{_MACHINERY}.{inner.removeprefix('metav1.')}" if inner.startswith("metav1.") else f"{package}.{inner}")
    return name + ("!" if go_type.startswith("*") or "omitempty" not in options else "")


def aliases(package: str, source: str) -> Iterator[tuple[str, str]]:
    """(type, the type of another version that it is)."""
    for name, version, other in _ALIAS.findall(source):
        yield f"{package}.{name}", f"{package.rpartition('.')[0]}.{version}.{other}"


def is_served(name: str) -> bool:
    """Whether the schemas have it, or it is the server's own."""
    if name.startswith(f"{_MACHINERY}.PartialObject"):
        return True
    try:
        schemas().type(name)
    except KeyError:
        return False
    return True


def main() -> None:
    table: dict[str, str] = {}
    same: dict[str, str] = {}
    for package, folder in packages(*map(Path, sys.argv[1:])):
        for path in sorted(folder.glob("*.go")):
            if path.name.startswith(("generated", "zz_")) or path.name.endswith("_test.go"):
                continue
            source = path.read_text()
            table.update(entries(package, source))
            same.update(aliases(package, source))
    for name, other in same.items():
        if other in table:  # else a scalar
            table[name] = table[other]
    kept = {name: entry for name, entry in table.items() if is_served(name) and not entry.endswith(" -!")}
    for inner in re.findall(">([^,]+)", ",".join(kept.values())):
        kept[inner] = table[inner]
    target = Path(__file__).with_name("field_numbers.json")
    target.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
