"""Build hook: compiles the Kubernetes schemas into `podling/api/schema*.json` (see `src/podling/api/compile.py`)."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent


class SchemaHook(BuildHookInterface[Any]):
    """Runs before wheel and editable builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        compile_schemas = runpy.run_path(str(ROOT / "src/podling/api/compile.py"))["compile_schemas"]
        compile_schemas(ROOT / "src/podling/api/schema.json")
