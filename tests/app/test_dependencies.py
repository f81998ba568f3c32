"""What the package imports is named in pyproject.toml, what is named there is imported, and each has its reason."""

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "src/podling"
IMPORT = re.compile(r"^ *(?:import|from(?= [\w.]+ import)) (\w+)", re.MULTILINE)
OF_TESTS = {"pytest"}  # users of the plugin have it
BY_NAME = {"common-expression-language"}  # imported by importlib, where it is installed
THROUGH = {"jsonpointer": "jsonpatch"}  # its paths and errors are part of the other's interface


@cache
def named() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return {normal(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements}


@cache
def imported() -> set[str]:
    found = (IMPORT.findall(file.read_text()) for file in PRODUCT.rglob("*.py"))
    modules = {module for several in found for module in several}
    foreign = modules - set(sys.stdlib_module_names) - {"podling"}
    homes = packages_distributions()
    return {THROUGH.get(name, name) for module in foreign for name in {normal(home) for home in homes.get(module, [module])}}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_imported_is_named() -> None:
    assert imported() - named() - OF_TESTS == set()


def test_what_is_named_is_imported() -> None:
    assert named() - imported() - BY_NAME == set()


def test_each_has_its_reason() -> None:
    table = re.findall(r"^\| ([\w-]+) (?:\(extra `\w+`\) )?\|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert named() - set(table) == set()


def test_each_is_locked() -> None:
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert named() - set(locked) == set()
