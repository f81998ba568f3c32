"""schemathesis against the server's own OpenAPI v3: the answer is always an object, or a Status that tells what is wrong.

usage: api.py SECONDS. A server of its own listens on a free port; the order of the operations is another one each time.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from random import Random
from typing import Any

from podling.aio.client import HttpClient
from podling.aio.clock import SystemClock
from podling.apiserver.authn import ServiceAccountTokens, TokenKeys
from podling.apiserver.pki import key_pem, new_key
from podling.apiserver.proxy import NodeProxy
from podling.apiserver.reverse_proxy import ReverseProxy
from podling.apiserver.reviews import Reviews
from podling.testing.apiserver import AllowAll, Served

Object = dict[str, Any]
PATHS = 12
DEPTH = 3


def served(folder: Path) -> Served:
    """A server with everything but nodes."""
    keys = TokenKeys(key_pem(new_key()), "https://kubernetes.default.svc", SystemClock())
    reviews = Reviews(AllowAll(), ServiceAccountTokens(keys, lambda *_: None), keys, SystemClock())
    streams = {**NodeProxy(HttpClient()).streams, **ReverseProxy(HttpClient(), HttpClient()).streams}
    return Served(folder, answers=reviews.answers, streams=streams)


def fetch(url: str) -> Object:
    with urllib.request.urlopen(url, timeout=30) as answer:
        found: Object = json.load(answer)
    return found


def document(url: str, order: Random) -> Object:
    """Some paths of all groups, without watches. Bodies are described down to a depth: generators of whole ones are slow."""
    paths: Object = {}
    schemas: Object = {}
    for path in fetch(f"{url}/openapi/v3")["paths"]:
        if path.startswith(("api/v1", "apis/")):
            one = fetch(f"{url}/openapi/v3/{path}")
            paths |= one["paths"]
            schemas |= one["components"]["schemas"]
    chosen = {path: paths[path] for path in order.sample(sorted(paths), PATHS)}
    for operations in chosen.values():
        for operation in operations.values():
            if isinstance(operation, dict):
                _simplify(operation, schemas)
    return {"openapi": "3.0.0", "info": {"title": "podling", "version": "1"}, "paths": chosen}


def _simplify(operation: Object, schemas: Object) -> None:
    parameters = operation.get("parameters", [])
    operation["parameters"] = [each for each in parameters if each["name"] not in ("watch", "timeoutSeconds")]
    operation["responses"] = {"default": {"description": "what it says"}}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["schema"] = shallow(content["schema"], schemas, DEPTH)
    body = operation.get("requestBody", {}).get("content", {})
    if "*/*" in body:
        body["application/json"] = body.pop("*/*")


def shallow(schema: Any, schemas: Object, depth: int) -> Object:
    """`schema` without references; below `depth` anything goes."""
    while ref := schema.get("$ref") or next((each["$ref"] for each in schema.get("allOf", ()) if "$ref" in each), ""):
        schema = schemas[ref.rpartition("/")[2]]
    if depth == 0:
        return {}
    kept = {name: schema[name] for name in ("type", "format", "enum", "required", "oneOf") if name in schema}
    if "properties" in schema:
        kept["properties"] = {name: shallow(each, schemas, depth - 1) for name, each in schema["properties"].items()}
    for member in ("items", "additionalProperties"):
        if isinstance(schema.get(member), dict):
            kept[member] = shallow(schema[member], schemas, depth - 1)
    return kept


def main(seconds: str) -> int:
    seed = secrets.randbelow(1 << 32)
    print(f"order and inputs by seed {seed}")
    with tempfile.TemporaryDirectory(prefix="podling-fuzz-") as folder, served(Path(folder)) as server:
        described = Path(folder) / "openapi.json"
        described.write_text(json.dumps(document(server.url, Random(seed))))
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(described), "--url", server.url, "--seed", str(seed)]
        command += ["--checks", "well_behaved", "--max-time", seconds, "--phases", "coverage,fuzzing", "--warnings", "off"]
        command += ["--request-timeout", "20", "--suppress-health-check", "all", "--no-shrink", "--max-examples", "20"]
        modules = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "checks", "PYTHONPATH": modules}
        code = subprocess.run(command, cwd=folder, env=environment, timeout=float(seconds) + 600).returncode
        urllib.request.urlopen(f"{server.url}/readyz", timeout=30).close()
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as metrics:
            counted = re.findall(rb"^apiserver_request_total\{.*\} (\d+)", metrics.read(), re.MULTILINE)
        print(f"{sum(map(int, counted))} requests")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
