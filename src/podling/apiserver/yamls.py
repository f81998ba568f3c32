"""YAML as Kubernetes reads it: JSON values only, no dates, no duplicate keys, no aliases that explode."""

from collections.abc import Hashable
from typing import Any

import yaml

DEPTH = 250  # nested nodes
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc]
    """A safe loader whose keys are strings."""

    _depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """The parser in C calls this once a node on its way down, on a stack that it does not bound itself."""
        self._depth += 1
        if self._depth > DEPTH:
            raise yaml.YAMLError("exceeded max depth")

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float)):
                raise yaml.constructor.ConstructorError(None, None, f"unsupported map key of type: {type(key).__name__}")
            if not isinstance(key, str):
                key = str(key).lower() if isinstance(key, bool) else str(key)
            if key in found:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f'line {line}: key "{key}" already set in map')
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A node that comes a second time is an alias: a few lines of those can name more values than memory holds."""
        if node in self.constructed_objects:
            raise yaml.YAMLError("aliases are not accepted")
        return super().construct_object(node, deep)


# What looks like a date stays text.
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.yaml_implicit_resolvers = _RESOLVERS
