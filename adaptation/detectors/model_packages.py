"""MediaPipe's networks in the packages that bring them: a wheel, an npm archive, or a folder. Nothing is executed.

Archives are read as bytes and never extracted. LiteRT parses the networks with native code, so only files are accepted
whose digest is that of a published one.

Source of the networks (Apache-2.0): MediaPipe 0.10.21 (pip) and @mediapipe/pose 0.5.1675469404 (npm).
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article

ModelName = Literal[
    "pose_landmark_lite", "pose_landmark_full", "pose_landmark_heavy", "pose_detection", "selfie_segmentation"
]
PIP = "pip download --no-deps mediapipe==0.10.21"
NPM = "npm pack @mediapipe/pose@0.5.1675469404"


@dataclass(frozen=True)
class Published:
    """A published network.

    Attributes:
        size: bytes of its file.
        digest: SHA-256 of its file.
        command: command that downloads a package with it.
    """

    size: int
    digest: str
    command: str


MODELS: dict[ModelName, Published] = {
    "pose_landmark_lite": Published(2819824, "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61", NPM),
    "pose_landmark_full": Published(6440512, "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f", PIP),
    "pose_landmark_heavy": Published(27709200, "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe", NPM),
    "pose_detection": Published(2959046, "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c", PIP),
    "selfie_segmentation": Published(249505, "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c", PIP),
}
"""The networks that can be used, by the stems of their files' names."""


@dataclass(frozen=True)
class ModelPackage:
    """Where networks are. Open it with `open_models`.

    Attributes:
        path: wheel, npm archive, or folder.
        members: for each network, the archive or folder that holds it, and the name of its file inside.
    """

    path: Path
    members: dict[ModelName, tuple[Path, str]]

    def read(self, name: ModelName) -> bytes:
        """Return the bytes of a network's file.

        Raises:
            UserError: the package lacks the network, is damaged, or holds another file under its name.
        """
        known = MODELS[name]
        if name not in self.members:
            raise UserError(f"{self.path} holds no {name}.tflite; {known.command} downloads a package with it")
        place, member = self.members[name]
        content = _read(place, member, known.size)
        if hashlib.sha256(content).hexdigest() != known.digest:
            raise UserError(
                f"{place}: {member} is damaged or not the published network; download it again with {known.command}"
            )
        return content

    def first(self, *names: ModelName) -> ModelName:
        """Return the first of some networks that the package holds.

        Raises:
            UserError: it holds none of them.
        """
        for name in names:
            if name in self.members:
                return name
        raise UserError(
            f"{self.path} holds no {' or '.join(f'{name}.tflite' for name in names)}; {MODELS[names[-1]].command} "
            "downloads a package with it"
        )


def open_models(path: Path) -> ModelPackage:
    """Find MediaPipe's networks by the names of their files.

    Args:
        path: wheel of mediapipe, archive (.tgz) of @mediapipe/pose, or folder that holds such packages, or .tflite
            files in any of its subfolders.

    Returns:
        The package. Networks are read and checked when they are asked for.

    Raises:
        UserError: the path does not exist, is of another kind, damaged, or holds none of the networks.
    """
    members: dict[ModelName, tuple[Path, str]] = {}
    archives = sorted(file for kind in ("*.whl", "*.tgz") for file in path.glob(kind)) if path.is_dir() else []
    for place in (path, *archives):
        for name in _names(place):
            # The part behind the last slash: packages differ in their folders.
            file = name.replace("\\", "/").rpartition("/")[2]
            for known in MODELS:
                if file == f"{known}.tflite":
                    members.setdefault(known, (place, name))
    if not members:
        raise UserError(
            f"{path} holds none of MediaPipe's networks ({', '.join(MODELS)}); {PIP} or {NPM} downloads some"
        )
    return ModelPackage(path, members)


def _names(path: Path) -> list[str]:
    """Return the names of the files in a package."""
    if path.is_dir():
        return sorted(str(file.relative_to(path)) for file in path.rglob("*.tflite") if file.is_file())
    with _opened(path) as archive:
        if isinstance(archive, zipfile.ZipFile):
            return archive.namelist()
        return [member.name for member in archive if member.isfile()]


def _read(path: Path, name: str, size: int) -> bytes:
    """Return the first bytes of a file in a package, one more than it should have."""
    # Not all of it: a small archive can expand to any size.
    if path.is_dir():
        try:
            with (path / name).open("rb") as file:
                return file.read(size + 1)
        except OSError as error:
            raise UserError(f"{path / name} cannot be read: {error.strerror}") from None
    with _opened(path) as archive:
        stream: IO[bytes] | None
        stream = archive.open(name) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(name)
        if stream is None:
            raise UserError(f"{path}: {name} is not a file")
        with stream:
            return stream.read(size + 1)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """Open a zip or tar archive; errors of the block about its content become one line."""
    kind = kind_of(path)
    if kind not in ("zip archive", "gzip archive"):
        raise UserError(
            f"{path}: found {with_article(kind)}, expected the wheel of {PIP}, the .tgz of {NPM}, or a folder"
        )
    try:
        with zipfile.ZipFile(path) if kind == "zip archive" else tarfile.open(path, "r:gz") as archive:
            yield archive
    except UserError:
        raise
    # zipfile, tarfile and zlib raise errors of many types on damaged files.
    except Exception as error:
        raise UserError(f"{path} is damaged or truncated: {reason(error)}; download it again") from None
