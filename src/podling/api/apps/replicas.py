"""What the kinds that keep copies of a pod share: a count, a selector, a template."""

from collections.abc import Iterator

from podling.api import objects, selectors
from podling.api.columns import joined
from podling.api.core import podspec
from podling.api.field import Cursor, FieldError
from podling.api.kind import Column, Object
from podling.api.rules import label_selector


def validate_template(spec: Cursor, owner: str = "ReplicaSet") -> Iterator[FieldError]:
    """The template's labels satisfy the selector; its pods run for ever. `owner` is the kind, as messages name it."""
    selector, template = spec / "selector", spec / "template"
    labels = template / "metadata" / "labels"
    if selector.value and not _selects(selector.value, labels.value):
        yield labels.invalid("`selector` does not match template `labels`")
    yield from podspec.validate_template(template)
    inner = template / "spec"
    if inner.get("restartPolicy") in ("OnFailure", "Never"):
        yield (inner / "restartPolicy").unsupported(("Always",))
    if inner.get("activeDeadlineSeconds") is not None:
        yield (inner / "activeDeadlineSeconds").forbidden(f"activeDeadlineSeconds in {owner} is not Supported")


def _selects(selector: Object, labels: dict[str, str] | None) -> bool:
    try:
        return selectors.of_object(selector).matches(labels)
    except selectors.SelectorError:
        return True  # the selector's own error says it better


def validate_selector(selector: Cursor, owner: str = "deployment") -> Iterator[FieldError]:
    if selector.value is None:
        yield selector.required()
        return
    yield from label_selector(selector)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield selector.invalid(f"empty selector is invalid for {owner}")


def container_columns(template: str = "spec.template", priority: int = 1) -> tuple[Column, Column]:
    """The columns for the containers of the template at a path."""

    def column(title: str, member: str) -> Column:
        path = f"{template}.spec.containers"
        cell = lambda obj, _: ",".join(str(each.get(member, "")) for each in objects.get(obj, path, ()))  # noqa: E731
        return Column(title, cell, priority=priority)

    return column("Containers", "name"), column("Images", "image")


def shown_selector(selector: Object | None) -> str:
    """A label selector as a client would write it; `<none>` where there is none."""
    if not selector or not selector.get("matchExpressions"):
        return joined((selector or {}).get("matchLabels"))
    return str(selectors.of_object(selector))


def _ready(obj: Object, _: float) -> str:
    return f"{objects.get(obj, 'status.readyReplicas', 0)}/{objects.get(obj, 'spec.replicas', 0)}"


READY = Column("Ready", _ready, description="Number of the pod with ready state")
SELECTOR = Column("Selector", lambda obj, _: shown_selector(objects.get(obj, "spec.selector")), priority=1)
TEMPLATE_COLUMNS = (*container_columns(), SELECTOR)
