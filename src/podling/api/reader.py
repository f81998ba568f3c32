"""Readers: each type of the schema table compiled, when it is first met, into a function that takes a good value and copies it.

A reader knows no paths and no words. What it doesn't take at once (an unknown field, a wrong type, a null in a list) makes it
give up, and the walk of decode.py reads the value again, to say what is wrong and where.
"""

import base64
from collections.abc import Callable
from typing import Any

from podling.api import timestamps
from podling.api.schema import Schemas, Shape, Type
from podling.base import quantity

Reader = Callable[[Any], Any]
"""A clean copy of the value, without nulls. Raises ValueError (NotPlain is one), KeyError for an unknown field."""


class NotPlain(ValueError):
    """The value needs a second look."""


class Readers:
    """The readers of one table's types."""

    def __init__(self, table: Schemas) -> None:
        self._table = table
        self._types: dict[str, Reader] = {}

    def type(self, kind: Type) -> Reader:
        found = self._types.get(kind.name)
        if found is None:
            found = self._types[kind.name] = _same if kind.shape is not None else self._structure(kind)
        return found

    def _structure(self, kind: Type) -> Reader:
        fields: dict[str, Reader | None] = {}
        for name, shape in kind.fields.items():
            fields[name] = None if shape.scalar == "string" else self._later(fields, name, shape)

        def read(value: Any) -> Any:
            if type(value) is not dict:
                raise NotPlain
            result = {}
            for name, item in value.items():
                read_item = fields[name]
                if item is None:
                    continue
                if read_item is not None:
                    result[name] = read_item(item)
                elif type(item) is str:
                    result[name] = item
                else:
                    raise NotPlain
            return result

        return read

    def _later(self, fields: dict[str, Reader | None], name: str, shape: Shape) -> Reader:
        """A field's reader that is made when it is first used, and then stands in its place."""

        def first(value: Any) -> Any:
            read = fields[name] = self._shape(shape)
            return read(value)

        return first

    def _shape(self, shape: Shape) -> Reader:
        match shape.form:
            case "type":
                return self.type(self._table.type(shape.type_name))
            case "list":
                assert shape.item is not None
                return _strings if shape.item.scalar == "string" else _list(self._shape(shape.item))
            case "map":
                assert shape.item is not None
                return _map_of_strings if shape.item.scalar == "string" else _map(self._shape(shape.item))
            case "scalar":
                return _SCALARS[shape.scalar]
            case _:
                return _same


def _list(item: Reader) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not list or None in value:
            raise NotPlain
        return [item(each) for each in value]

    return read


def _map(item: Reader) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not dict or None in value.values():
            raise NotPlain
        return {name: item(each) for name, each in value.items()}

    return read


def _same(value: Any) -> Any:
    return value


def _strings(value: Any) -> Any:
    if type(value) is not list:
        raise NotPlain
    for each in value:
        if type(each) is not str:
            raise NotPlain
    return value.copy()


def _map_of_strings(value: Any) -> Any:
    if type(value) is not dict:
        raise NotPlain
    for each in value.values():
        if type(each) is not str:
            raise NotPlain
    return value.copy()


def _string(value: Any) -> Any:
    if type(value) is not str:
        raise NotPlain
    return value


def _boolean(value: Any) -> Any:
    if type(value) is not bool:
        raise NotPlain
    return value


def _int32(value: Any) -> Any:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise NotPlain
    return value


def _int64(value: Any) -> Any:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise NotPlain
    return value


def _number(value: Any) -> Any:
    if type(value) is not float and type(value) is not int:
        raise NotPlain
    return value


def _int_or_string(value: Any) -> Any:
    if type(value) is not int and type(value) is not str:
        raise NotPlain
    return value


def _bytes(value: Any) -> Any:
    base64.b64decode(_string(value), validate=True)
    return value


def _quantity(value: Any) -> Any:
    return quantity.canonical(_string(value))


def _time(value: Any) -> Any:
    return timestamps.rfc3339(timestamps.parse(_string(value)))


def _micro_time(value: Any) -> Any:
    return timestamps.micro(timestamps.parse(_string(value)))


_SCALARS: dict[str, Reader] = {
    "string": _string,
    "boolean": _boolean,
    "int32": _int32,
    "int64": _int64,
    "number": _number,
    "int-or-string": _int_or_string,
    "bytes": _bytes,
    "quantity": _quantity,
    "time": _time,
    "micro-time": _micro_time,
}
