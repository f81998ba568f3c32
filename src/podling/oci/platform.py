"""Which image of an index fits a machine. Source: OCI image-spec, image-index.md, "platform"."""

from collections.abc import Sequence
from dataclasses import dataclass

from podling.base.errors import InvalidInput
from podling.oci.image import Descriptor, PlatformObject

# What kernels and people call an architecture → GOARCH, variant.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
}
_DEFAULT_VARIANTS = {("arm64", "v8"): "", ("amd64", "v1"): "", ("arm", ""): "v7"}
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")
_KNOWN = {"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "mips64", "loong64"}


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and processor, in Go's names; `variant` is empty for the usual one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normalise(os: str, architecture: str, variant: str = "") -> Platform:
    """Fold the many names of one platform into one: linux/aarch64 and linux/arm64/v8 are linux/arm64."""
    architecture, implied = _ARCHITECTURES.get(architecture.lower(), (architecture.lower(), ""))
    variant = variant.lower() or implied
    variant = _DEFAULT_VARIANTS.get((architecture, variant), variant)
    return Platform(os.lower(), architecture, variant)


def of_machine(machine: str) -> Platform:
    """The platform of a Linux host by uname(2)'s `machine`."""
    return normalise("linux", machine)


def parse(text: str) -> Platform:
    """`os/architecture[/variant]`, or one of its first two parts alone. Raises InvalidInput."""
    parts = text.split("/")
    if not all(parts) or len(parts) > 3:
        raise InvalidInput(f'"{text}" is an invalid platform: must be of the form os/architecture[/variant]')
    if len(parts) == 1:
        candidate = normalise("linux", parts[0])
        if candidate.architecture not in _KNOWN:
            raise InvalidInput(f'"{text}": unknown operating system or architecture: invalid argument')
        return candidate
    return normalise(*parts)


def of_object(value: PlatformObject) -> Platform:
    """The platform of a descriptor in an index, or of an image configuration."""
    return normalise(value.get("os", ""), value.get("architecture", ""), value.get("variant", ""))


def rank(wanted: Platform, offered: Platform) -> int | None:
    """How well `offered` runs on `wanted`: 0 is exact, more is worse, None is not at all."""
    if offered == wanted:
        return 0
    if wanted.os != offered.os or wanted.architecture != offered.architecture:
        return None
    if wanted.architecture == "arm" and wanted.variant in _ARM_VARIANTS and offered.variant in _ARM_VARIANTS:
        distance = _ARM_VARIANTS.index(offered.variant) - _ARM_VARIANTS.index(wanted.variant)
        return distance if distance >= 0 else None
    if not offered.variant:
        return 1
    return None


def choose(manifests: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """The entry of an index that fits best; attestations ("unknown/unknown") never do."""
    ranked = [(rank(wanted, of_object(entry["platform"])), entry) for entry in manifests if "platform" in entry]
    fitting = [(score, position) for position, (score, _) in enumerate(ranked) if score is not None]
    if fitting:
        return ranked[min(fitting)[1]][1]
    bare = [entry for entry in manifests if "platform" not in entry]
    return bare[0] if bare else None
