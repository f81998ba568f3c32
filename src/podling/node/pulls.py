"""Images for containers, as their pull policy says. Source: Kubernetes, "Images", "Image pull policy"."""

from pathlib import Path

from podling.base.errors import Failed, Forbidden, InvalidInput, NotFound, PodlingError, TimedOut, Unauthorized, Unavailable
from podling.node.credentials import logins_for
from podling.node.crew import Crew
from podling.node.pod.events import Pulled, PullFailed
from podling.node.pod.spec import Object, container_of
from podling.node.runtime import ImageFacts, Login


async def ensure_image(crew: Crew, pod: Object, name: str) -> Pulled | PullFailed:
    """Have the image of the container `name` here."""
    container = container_of(pod, name)
    return await _ensure(crew, pod, name, container.get("image") or "", policy_of(container))


async def show_image(crew: Crew, pod: Object, spec: Object, target: Path) -> None:
    """Mount the image of an ImageVolumeSource. Raises Failed with the reason as a container would have it."""
    reference = spec.get("reference") or ""
    policy = policy_of({"image": reference, "imagePullPolicy": spec.get("pullPolicy")})
    found = await _ensure(crew, pod, "", reference, policy)
    if isinstance(found, PullFailed):
        raise Failed(f"{found.reason}: {found.message}")
    await crew.runtime.show_image(found.image_id, image_owner(pod), target)


def image_owner(pod: Object) -> str:
    """For whom the runtime keeps the images of the pod's volumes."""
    return f"pod-{pod['metadata']['uid']}"


async def _ensure(crew: Crew, pod: Object, name: str, image: str, policy: str) -> Pulled | PullFailed:
    try:
        held = await crew.runtime.image(image)
        if policy == "Never" and held is None:
            message = f'Container image "{image}" is not present with pull policy of Never'
            crew.record(pod, "Warning", "ErrImageNeverPull", message, name)
            return PullFailed(name, "ErrImageNeverPull", message)
        if held is None or policy == "Always":
            held = await _pulled(crew, pod, image, name, held)
        else:
            crew.record(pod, "Normal", "Pulled", f'Container image "{image}" already present on machine', name)
        return Pulled(name, held.id)
    except InvalidInput as error:
        message = f'Failed to apply default image tag "{image}": {error}'
        crew.record(pod, "Warning", "InspectFailed", message, name)
        return PullFailed(name, "InvalidImageName", message)
    except (PodlingError, OSError, EOFError) as error:
        crew.record(pod, "Warning", "Failed", f'Failed to pull image "{image}": {error}', name)
        return PullFailed(name, "ErrImagePull", str(error))


def policy_of(container: Object) -> str:
    """`imagePullPolicy`, or its default: Always for `latest`."""
    tag = (container.get("image") or "").rpartition("/")[2]
    latest = "@" not in tag and (":" not in tag or tag.endswith(":latest"))
    return container.get("imagePullPolicy") or ("Always" if latest else "IfNotPresent")


async def _pulled(crew: Crew, pod: Object, image: str, name: str, held: ImageFacts | None) -> ImageFacts:
    """What the registry has; where it has nothing, an image that was built or loaded here under this name."""
    try:
        return await _pull(crew, pod, image, name)
    except (NotFound, Unauthorized, Forbidden, Unavailable, TimedOut, Failed) as error:
        if held is None or not held.local:
            raise
        crew.record(pod, "Normal", "Pulled", f'Container image "{image}" was made on this machine; its registry: {error}', name)
        return held


async def _pull(crew: Crew, pod: Object, image: str, name: str) -> ImageFacts:
    crew.record(pod, "Normal", "Pulling", f'Pulling image "{image}"', name)
    began = crew.clock.monotonic()
    held = await _pull_with_logins(crew, pod, image)
    seconds = crew.clock.monotonic() - began
    crew.record(pod, "Normal", "Pulled", f'Successfully pulled image "{image}" in {seconds:.3g}s', name)
    return held


async def _pull_with_logins(crew: Crew, pod: Object, image: str) -> ImageFacts:
    lookup = crew.sources.lookup(pod["metadata"]["namespace"])
    secrets = [lookup("Secret", reference["name"]) for reference in pod["spec"].get("imagePullSecrets") or []]
    logins: list[Login | None] = [*logins_for(image, [secret for secret in secrets if secret]), None]
    for login in logins[:-1]:
        try:
            return await crew.runtime.pull(image, login)
        except Unauthorized:
            continue
    return await crew.runtime.pull(image, logins[-1])
