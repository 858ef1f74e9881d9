"""Result files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from adaptation.support.errors import UserError

# Written last into every result folder, so that --overwrite only ever removes results.
MARKER = "settings.json"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes to a path: what the file system refuses, such as on a full disk, is one line for the user.

    Raises:
        UserError: an operating system's error in the block.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save hides a full disk behind an error of its zip writer.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        # NumPy's own error counts bytes and gives no reason.
        raise UserError(f"cannot write {path}: {cause.strerror or f'{cause} (is the disk full?)'}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, moved to ``path`` when the block ends without an error, and removed otherwise.

    Raises:
        UserError: it cannot be written; what was at ``path`` before is still there.
    """
    with writing(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=partial_prefix(path))
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)


def check_file(path: Path) -> None:
    """Make the folder of a file that takes long to make.

    Raises:
        UserError: it cannot be written there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UserError(f"{path} is a folder; --out must name a file")
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def partial_prefix(path: Path) -> str:
    """How the names of half-written files start, which a process that was killed leaves behind."""
    return f".{path.name[:40]}-"


@contextmanager
def result_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, moved to ``out`` when the block ends without an error, and removed otherwise.

    Args:
        out: where the results are to be; must not exist, or be empty.
        overwrite: whether the results of an earlier run may be replaced.

    Raises:
        UserError: ``out`` is in use, or cannot be written.
    """
    try:
        # The folder itself, where out is "." or a link to it.
        target = out.resolve()
        _check_free(target, out, overwrite=overwrite)
        made = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}") from None
    partial = None
    try:
        try:
            partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}-"))
        except OSError as error:
            raise UserError(f"cannot write to {target.parent}: {error.strerror}") from None
        yield partial
        partial.chmod(0o755)
        _replace(target, partial)
        made = []
    except OSError as error:
        raise UserError(
            _seen(f"cannot write {error.filename or out}: {error.strerror or error}", partial, out)
        ) from error
    except UserError as error:
        if partial is None or str(partial) not in str(error):
            raise
        raise UserError(_seen(str(error), partial, out)) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        for folder in made:  # innermost first
            with suppress(OSError):
                folder.rmdir()


def _seen(text: str, partial: Path | None, out: Path) -> str:
    """A message that names the results' folder, not the hidden one that is being filled."""
    return text.replace(str(partial), str(out))


def _check_free(target: Path, out: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"{out} is a file; --out must name a folder")
    if target.is_mount():  # cannot be replaced as a whole
        raise UserError(f"{out} is a mount point; --out must name a folder inside it")
    if any(target.iterdir()):
        if not overwrite:
            raise UserError(f"{out} is not empty; choose another folder, or replace it with --overwrite")
        if not (target / MARKER).is_file():
            raise UserError(f"{out} does not hold results of topo-adapt; it is not overwritten")


def _replace(target: Path, partial: Path) -> None:
    """Move the new results in; the old ones are deleted only once the new ones are in place."""
    if not target.exists():
        partial.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{partial.name}-old-"))
    target.rename(old)  # onto an empty folder
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
