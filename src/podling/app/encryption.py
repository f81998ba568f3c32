"""The keys under which Secrets lie on disk: made at the first start, the owner's alone."""

from pathlib import Path

import orjson

from podling.apiserver.encryption import Encryption, fresh_configuration, read
from podling.base.files import write_atomic

FILE = "encryption.yaml"


def open_encryption(folder: Path) -> Encryption:
    """What `encryption.yaml` in `folder` says; written with a new key where there is none. Raises InvalidInput."""
    path = folder / FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(
            path, orjson.dumps(fresh_configuration(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), mode=0o600
        )
    return read(path.read_bytes(), str(path))
