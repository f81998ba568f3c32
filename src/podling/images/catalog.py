"""Which images there are and what a person's words mean: names, ids, short ids. Reads only."""

from collections.abc import Iterator

from podling.base.errors import InvalidInput, NotFound
from podling.images.content import ContentStore
from podling.images.metadata import Metadata, Named, Record
from podling.images.model import HistoryItem, Image, display
from podling.oci import digest as digests
from podling.oci import reference
from podling.oci.image import ImageConfig, Manifest, chain_id, chain_ids, parse_config, parse_manifest
from podling.oci.reference import Reference

_HEX = frozenset("0123456789abcdef")
_SHORTEST = "sha256:"


class Catalog:
    """Answers from the metadata and from documents in the content store, in microseconds."""

    def __init__(self, content: ContentStore, metadata: Metadata) -> None:
        self._content = content
        self._metadata = metadata
        self._documents: dict[str, tuple[Manifest, ImageConfig]] = {}

    def all(self) -> list[Image]:
        """All images, the newest first."""
        names: dict[str, list[Named]] = {}
        for named in self._metadata.names():
            names.setdefault(named.image, []).append(named)
        sizes = self._metadata.sizes()
        return [self._image(record, names.get(record.id, []), sizes) for record in self._metadata.images()]

    def made_from(self, parent: str) -> list[Image]:
        """The images whose parent has this id."""
        sizes = self._metadata.sizes()
        records = map(self._metadata.image, self._metadata.children(parent))
        return [self._image(record, self._metadata.names(record.id), sizes) for record in records if record is not None]

    def get(self, text: str) -> Image:
        """The image that a name, an id or the start of one means. Raises NotFound in Docker's words."""
        record = self._metadata.image(self.identify(text))
        if record is None:
            raise no_such(text)
        return self._image(record, self._metadata.names(record.id), self._metadata.sizes())

    def identify(self, text: str) -> str:
        """The id of that image."""
        if (exact := _as_digest(text)) and self._metadata.image(exact):
            return exact
        name = _as_reference(text)
        if name is not None and (named := self.named(name)):
            return named.image
        if found := self.by_prefix(text):
            return found
        if name is None and not _is_prefix(text):
            reference.parse(text)
        raise no_such(text)

    def named(self, name: Reference) -> Named | None:
        """What a reference stands for; a tag beside a digest is ignored, as Docker does."""
        return self._metadata.named(str(name.with_digest(name.digest) if name.digest else name.tagged()))

    def by_prefix(self, text: str) -> str:
        """The one id that starts with `text`; empty for none. Raises InvalidInput for several."""
        if not _is_prefix(text):
            return ""
        found = self._metadata.ids(_SHORTEST + text.removeprefix(_SHORTEST))
        if len(found) > 1:
            raise InvalidInput(f"multiple images found with provided prefix: {text}")
        return found[0] if found else ""

    def documents(self, manifest: str) -> tuple[Manifest, ImageConfig]:
        """A manifest and its configuration, parsed; read-only. Raises InvalidInput for what isn't their shape."""
        known = self._documents.get(manifest)
        if known is None:
            document = parse_manifest(self._content.read(manifest))
            config = parse_config(self._content.read(document["config"]["digest"]))
            known = self._documents[manifest] = (document, config)
        return known

    def forget(self, manifest: str) -> None:
        self._documents.pop(manifest, None)

    def _image(self, record: Record, names: list[Named], sizes: dict[str, int]) -> Image:
        manifest, config = self.documents(record.manifest)
        diff_ids = config["rootfs"]["diff_ids"]
        chain = chain_ids(diff_ids)
        shown = [display(named.name) for named in names]
        return Image(
            id=record.id,
            config=config,
            manifest=record.manifest,
            layers=tuple(manifest["layers"]),
            chain=chain_id(diff_ids),
            size=sum(sizes.get(name, layer["size"]) for name, layer in zip(chain, manifest["layers"], strict=False)),
            parent=record.parent,
            tags=tuple(name for name in shown if "@" not in name),
            digests=tuple(name for name in shown if "@" in name),
            added=record.added,
            tagged=record.tagged,
        )

    def history(self, text: str) -> list[HistoryItem]:
        """The steps of an image, the newest first; a step whose image is still there has its id."""
        image = self.get(text)
        return list(reversed(list(self._steps(image))))

    def _steps(self, image: Image) -> Iterator[HistoryItem]:
        sizes = self._metadata.sizes()
        layers = iter(zip(chain_ids(image.config["rootfs"]["diff_ids"]), image.layers, strict=False))
        entries = image.config.get("history") or []
        known = self._line_of_descent(image, len(entries))
        for number, entry in enumerate(entries):
            chain, layer = ("", None) if entry.get("empty_layer") else next(layers, ("", None))
            maker = known.get(number)
            yield HistoryItem(
                id=maker.id if maker else "<missing>",
                created=entry.get("created", ""),
                created_by=entry.get("created_by", ""),
                comment=entry.get("comment", ""),
                size=sizes.get(chain, layer["size"]) if layer else 0,
                tags=maker.tags if maker else (),
            )

    def _line_of_descent(self, image: Image, steps: int) -> dict[int, Image]:
        """Position in the history → the image that ended with that step, for the image and its known parents."""
        found = {steps - 1: image}
        while image.parent and self._metadata.image(image.parent):
            image = self.get(image.parent)
            found[len(image.config.get("history") or []) - 1] = image
        return found


def no_such(text: str) -> NotFound:
    """Docker's words for an image that isn't there."""
    name = _as_reference(text)
    return NotFound(f"No such image: {name.tagged().familiar if name else text}")


def _as_digest(text: str) -> str:
    candidate = text if ":" in text else f"sha256:{text}"
    return candidate if digests.is_valid(candidate) else ""


def _as_reference(text: str) -> Reference | None:
    try:
        return reference.parse(text)
    except InvalidInput:
        return None


def _is_prefix(text: str) -> bool:
    encoded = text.removeprefix(_SHORTEST)
    return bool(encoded) and len(encoded) <= 64 and _HEX.issuperset(encoded)
