"""Carrying out a plan: each step makes an image from its parent's, or finds the one that an earlier build made."""

import asyncio
import codecs
import os
import posixpath
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from podling.aio.clock import Clock
from podling.base import ids
from podling.base.errors import InvalidInput, NotFound, PodlingError, Unsupported
from podling.build import archives, cache, plan, sources
from podling.build.base import BuildFailed, Listener, Options, Run, Runner
from podling.build.context import Context
from podling.build.copy import Copier, Owner
from podling.build.dockerfile import Dockerfile, Instruction
from podling.build.look import OnDisk, Tree
from podling.build.plan import Command, Copy, Directory, Scope, Stage, Step
from podling.build.remote import fetch, file_name, is_remote
from podling.build.tree import Trees
from podling.images.images import Images, timestamp
from podling.images.model import ANONYMOUS, Image, Progress
from podling.linux.inside import read_inside
from podling.oci import platform as platforms
from podling.oci import reference
from podling.oci.image import Descriptor, ExecutionConfig, HistoryEntry, ImageConfig
from podling.oci.platform import Platform
from podling.runtime.user import lookup
from podling.snapshots.trees import extract


@dataclass(frozen=True, slots=True)
class Means:
    """What a build works with. `context` are the client's files."""

    images: Images
    runner: Runner
    trees: Trees
    clock: Clock
    context: Context
    tell: Listener


class Build:
    """One build; `run` it once."""

    def __init__(self, file: Dockerfile, options: Options, means: Means) -> None:
        self._file = file
        self._options = options
        self._means = means
        self._images = means.images
        self._stages = plan.stages(file, options.target, options.arguments)
        self._globals = plan.global_arguments(file, options.arguments)
        self._results: dict[int, Image | None] = {}
        self._consumed = {name for instruction in file.arguments for name, _ in instruction.pairs}
        self._platform = platforms.parse(options.platform) if options.platform else self._images.platform
        self._number = 0
        self._total = sum(len(stage.instructions) + 1 for stage in self._stages) + bool(options.labels)

    async def run(self) -> Image:
        """The image of the target. Raises BuildFailed, InvalidInput, NotFound."""
        image: Image | None = None
        for stage in self._stages:
            image = self._results[stage.index] = await self._stage(stage, last=stage is self._stages[-1])
        if image is None:
            raise BuildFailed("No image was generated. Is your Dockerfile empty?")
        self._warn()
        return image

    def _warn(self) -> None:
        unused = sorted(self._options.arguments.keys() - self._consumed - plan.PROXIES)
        if unused:
            self._say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")

    def _say(self, text: str) -> None:
        self._means.tell({"stream": text})

    def _announce(self, text: str) -> None:
        self._number += 1
        self._say(f"Step {self._number}/{self._total} : {text}\n")

    # -- stages

    async def _stage(self, stage: Stage, *, last: bool) -> Image | None:
        self._announce(stage.text)
        image = await self._base(stage)
        self._say(f" ---> {ids.short(image.id) if image else ''}\n")
        found, config = plan.triggers(_config_of(image))
        scope = Scope(config, self._options.arguments, self._globals, self._file_stages(stage), self._file.escape)
        if found:
            self._say(f"# Executing {len(found)} build trigger{'s' if len(found) > 1 else ''}\n")
            image = await self._steps(image, found, scope, lambda _: None)
        image = await self._steps(image, stage.instructions, scope, self._announce)
        if last and self._options.labels:
            label = Instruction("LABEL", _labels_text(self._options), 0, pairs=tuple(_quoted(self._options)))
            image = await self._steps(image, [label], scope, self._announce)
        self._consumed |= scope.consumed
        return image

    def _file_stages(self, stage: Stage) -> list[Stage]:
        """The stages before this one: what --from may mean."""
        by_index = {each.index: each for each in self._stages}
        return [by_index.get(index) or _unbuilt(index) for index in range(stage.index)]

    async def _base(self, stage: Stage) -> Image | None:
        if stage.parent is not None:
            return self._results[stage.parent]
        if stage.base == plan.SCRATCH:
            return None
        return await self._image(stage.base, stage.platform, pull=self._options.pull)

    async def _image(self, name: str, platform: str = "", *, pull: bool = False) -> Image:
        """An image of this machine, or pulled: where it lacks, or anyhow."""
        if not pull:
            try:
                image = self._images.get(name)
            except NotFound:
                pass
            else:
                await self._images.unpack(image)
                return image
        wanted = reference.parse(name)
        credentials = self._options.credentials.get(wanted.domain, ANONYMOUS)
        return await self._images.pull(name, platform or self._options.platform, credentials, self._progress)

    def _progress(self, progress: Progress) -> None:
        detail = {"progressDetail": {"current": progress.current, "total": progress.total}} if progress.total else {}
        self._means.tell({"status": progress.status, **({"id": progress.id} if progress.id else {}), **detail})

    # -- steps

    async def _steps(
        self,
        image: Image | None,
        instructions: "list[Instruction] | tuple[Instruction, ...]",
        scope: Scope,
        announce: Callable[[str], None],
    ) -> Image | None:
        for instruction in instructions:
            announce(plan.shown(instruction))
            for step in plan.steps([instruction], scope):
                image = await self._step(image, step)
                self._say(f" ---> {ids.short(image.id)}\n")
        return image

    async def _step(self, image: Image | None, step: Step) -> Image:
        async with AsyncExitStack() as stack:
            history, copying = step.history, None
            if isinstance(step.work, Copy):
                copying = await self._prepare_copy(step.work, stack)
                history = f"{history}{copying.digest} in {step.work.destination} "
            if self._options.use_cache and (known := await self._known(image, step, history)):
                self._say(" ---> Using cache\n")
                await self._images.unpack(known)
                return known
            layer = await self._work(image, step, copying)
            return await self._commit(image, step, history, layer)

    async def _known(self, image: Image | None, step: Step, history: str) -> Image | None:
        platform = (self._platform.os, self._platform.architecture)
        made = await asyncio.to_thread(self._images.made_from, image.id if image else "")
        return cache.find(made, image, history, step.config, platform)

    async def _commit(self, image: Image | None, step: Step, history: str, layer: Descriptor | None) -> Image:
        now = timestamp(self._means.clock.now())
        entry: HistoryEntry = {"created": now, "created_by": history}
        if layer is None:
            entry["empty_layer"] = True
        below: ImageConfig = image.config if image else _empty(self._platform)
        document: ImageConfig = {
            **below,
            "created": now,
            "config": step.config,
            "rootfs": {"type": "layers", "diff_ids": [*below["rootfs"]["diff_ids"], *([layer["digest"]] if layer else [])]},
            "history": [*below.get("history", []), entry],
        }
        if step.author:
            document["author"] = step.author
        layers = [*(image.layers if image else ()), *([layer] if layer else [])]
        return await self._images.add(document, layers, parent=image.id if image else "")

    async def _work(self, image: Image | None, step: Step, copying: "_Copying | None") -> Descriptor | None:
        chain = image.chain if image else ""
        match step.work:
            case None:
                return None
            case Command():
                return await self._run(image or await self._nothing(), step.work, step.config)
            case Directory(path):
                async with self._means.trees.writing(chain) as layer:
                    await asyncio.to_thread(_make_directory, layer.root, path)
                    return await layer.seal()
            case Copy():
                assert copying is not None
                async with self._means.trees.writing(chain) as layer:
                    await self._copy(step.work, copying, layer.root)
                    return await layer.seal()

    async def _nothing(self) -> Image:
        """An image without anything in it, to run something on."""
        return await self._images.add(_empty(self._platform), [])

    # -- RUN

    async def _run(self, image: Image, command: Command, config: ExecutionConfig) -> Descriptor:
        script = await asyncio.to_thread(self._means.trees.write, command.script.encode(), 0o755) if command.script else None
        run = Run(
            image=image.id,
            command=command.words,
            env=(*command.env, *(config.get("Env") or ())),
            working_dir=config.get("WorkingDir") or "",
            user=config.get("User") or "",
            options=self._options,
            network=command.network,
            script=script,
        )
        execution = await self._means.runner.prepare(run)
        try:
            self._say(f" ---> Running in {ids.short(execution.id)}\n")
            decoder = codecs.getincrementaldecoder("utf-8")("replace")

            async def say(data: bytes) -> None:
                self._say(decoder.decode(data))
                await self._means.tell.drain()

            code = await execution.run(say)
            if code != 0:
                raise BuildFailed(f"The command '{' '.join(command.words)}' returned a non-zero code: {code}", code)
            return await self._means.trees.seal(execution.id)
        finally:
            await asyncio.shield(execution.remove())
            self._say(f"Removing intermediate container {ids.short(execution.id)}\n")

    # -- COPY, ADD

    async def _prepare_copy(self, copy: Copy, stack: AsyncExitStack) -> "_Copying":
        """Find the files; the tree that they are in stays until `stack` ends."""
        name = "ADD" if copy.extract else "COPY"
        remote = [source for source in copy.sources if is_remote(source)] if copy.extract else []
        _check_remote(copy, remote)
        foreign = copy.stage is not None or bool(copy.image)
        patterns = [each for each in copy.sources if each not in remote]
        root = await self._source(copy, stack) if foreign else None

        def find(tree: Tree) -> tuple[list[str], str]:
            found = sources.find(tree, patterns)
            return found, sources.digest(tree, found, owners=foreign) if found else ""

        try:
            look = asyncio.to_thread(find, OnDisk(root)) if root else self._means.context.look(find)
            paths, digest = await look
        except sources.NoSource as error:
            where = "" if foreign else "file not found in build context or excluded by .dockerignore: "
            raise BuildFailed(f"{name} failed: {where}{error.message}") from None
        except InvalidInput as error:
            raise BuildFailed(f"{name} failed: {error.message}") from None
        fetched = [await self._fetch(url, copy) for url in remote]
        digests = [await asyncio.to_thread(sources.digest, OnDisk(folder), names, owners=False) for folder, names in fetched]
        options = [copy.owner, "" if copy.mode is None else f"{copy.mode:o}", *(each.name + each.content for each in copy.files)]
        key = sources.text_digest(options) if any(options) else ""
        return _Copying(root, paths, ":".join(filter(None, [digest, *digests, key])), fetched)

    async def _fetch(self, url: str, copy: Copy) -> tuple[Path, list[str]]:
        """The file at an address: a tree of its own, and its path there."""
        name = file_name(url) or posixpath.basename(copy.destination)
        folder = await asyncio.to_thread(self._means.trees.folder)
        self._means.tell({"status": "Downloading", "progressDetail": {}})
        try:
            await fetch(url, folder / name, copy.checksum)
        except PodlingError as error:
            raise BuildFailed(f"ADD failed: {error.message}") from None
        return folder, [name]

    async def _source(self, copy: Copy, stack: AsyncExitStack) -> Path:
        image = self._results.get(copy.stage) if copy.stage is not None else await self._image(copy.image)
        return await stack.enter_async_context(self._means.trees.reading(image.chain if image else ""))

    async def _copy(self, copy: Copy, copying: "_Copying", root: Path) -> None:
        owner = await asyncio.to_thread(_owner, copy.owner, root) if copy.owner else None
        try:
            source = copying.root or await self._means.context.files()
            rest = await self._extract(copy, source, copying.paths, root) if copy.extract else copying.paths
            await asyncio.to_thread(_copy_all, copy, [(source, rest), *copying.fetched], root, owner, several=copying.several)
        except OSError as error:
            raise BuildFailed(f"{'ADD' if copy.extract else 'COPY'} failed: {copy.destination}: {error.strerror}") from error

    async def _extract(self, copy: Copy, source: Path, paths: list[str], root: Path) -> list[str]:
        """Unpack the archives among the sources; gives the others."""
        rest = []
        for path in paths:
            if await asyncio.to_thread(archives.is_archive, source, path):
                await asyncio.to_thread(_make_directory, root, copy.destination)
                await extract(archives.pieces(source, path), root, copy.destination, limits=self._images.limits)
            else:
                rest.append(path)
        return rest


@dataclass(frozen=True, slots=True)
class _Copying:
    """What is to be copied: paths of the tree `root` (None: the context), trees and paths of what was fetched; their digest."""

    root: Path | None
    paths: list[str]
    digest: str
    fetched: list[tuple[Path, list[str]]]

    @property
    def several(self) -> bool:
        return len(self.paths) + len(self.fetched) > 1


def _check_remote(copy: Copy, remote: list[str]) -> None:
    """Raises BuildFailed, Unsupported, before anything is fetched."""
    if not copy.extract and any(map(is_remote, copy.sources)):
        raise BuildFailed("COPY failed: source can't be a URL for COPY")
    if copy.checksum and len(copy.sources) != len(remote):
        raise BuildFailed("ADD failed: checksum can't be specified for non-HTTP sources")
    for url in remote:
        try:
            if not file_name(url) and copy.destination.endswith("/"):
                raise BuildFailed(f"ADD failed: cannot determine filename for source {url}")
        except Unsupported as error:
            raise Unsupported(f"ADD failed: {error.message}") from None


def _copy_all(copy: Copy, found: list[tuple[Path, list[str]]], target: Path, owner: Owner | None, *, several: bool) -> None:
    """Copy each tree's paths."""
    copier = Copier(target, owner, copy.mode)
    destination = f"{copy.destination.rstrip('/')}/" if several else copy.destination
    for root, paths in found:
        for path in paths:
            copier.copy(root, path, destination)
    for each in copy.files:
        copier.write(each.content.encode(), each.name, copy.destination)


def _make_directory(root: Path, path: str) -> None:
    os.close(Copier(root).directory(path))


def _owner(text: str, root: Path) -> Owner:
    """`user[:group]` by the accounts of the tree. A number alone is the group's too."""
    passwd, group = (read_inside(root, path).decode(errors="replace") for path in ("etc/passwd", "etc/group"))
    try:
        user = lookup(text, passwd, group)
    except InvalidInput as error:
        raise BuildFailed(f"unable to convert uid/gid chown string to host mapping: {error.message}") from None
    return (user.uid, user.uid if text.isdecimal() else user.gid)


def _config_of(image: Image | None) -> ExecutionConfig:
    return cast(ExecutionConfig, dict(image.config.get("config") or {})) if image else {}


def _empty(platform: Platform) -> ImageConfig:
    document: ImageConfig = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }
    if platform.variant:
        document["variant"] = platform.variant
    return document


def _unbuilt(index: int) -> Stage:
    """A stage that the target does not need; no instruction of those that it does need refers to it."""
    return Stage(index, "", "", None, "", "", ())


def _labels_text(options: Options) -> str:
    return " ".join(f"{name}={value}" for name, value in options.labels.items())


def _quoted(options: Options) -> list[tuple[str, str]]:
    """Labels of the request are literal: nothing in them is expanded."""
    return [
        (f"'{name}'", f"'{value}'" if "'" not in value else value.replace("\\", "\\\\").replace("$", "\\$"))
        for name, value in options.labels.items()
    ]
