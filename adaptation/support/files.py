"""Result files and folders that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from adaptation.support.errors import UserError

# Written last into every result folder. --overwrite refuses folders without it, so it only ever removes results.
MARKER = "settings.json"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn file system errors of a block that writes to a path, such as a full disk, into one line for the user.

    Raises:
        UserError: The block raised an error of the operating system.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save hides a full disk behind a RuntimeError of its zip writer.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        # NumPy's own OSError counts unwritten bytes and has no strerror.
        raise UserError(f"cannot write {path}: {cause.strerror or f'{cause} (is the disk full?)'}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that is moved to ``path`` when the block ends without an error, and removed otherwise.

    Raises:
        UserError: The file cannot be written; an earlier file at ``path`` is kept.
    """
    with writing(path):
        # In the same folder, because a move between file systems is not atomic.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=partial_prefix(path))
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.chmod(temporary, 0o644)  # mkstemp lets only the owner read
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)  # gone after the move


def check_file(path: Path) -> None:
    """Make the folder of a file and check that the file can be written, before a long computation.

    Raises:
        UserError: ``path`` is a folder, or nothing can be written next to it.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UserError(f"{path} is a folder; --out must name a file")
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def partial_prefix(path: Path) -> str:
    """Return the prefix of half-written files, by which those of a killed process can be found."""
    # Shortened, because file systems limit names to 255 bytes.
    return f".{path.name[:40]}-"


@contextmanager
def result_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Make a temporary folder that is moved to ``out`` when the block ends without an error, and removed otherwise.

    Args:
        out: Destination of the results; must be new or empty, unless ``overwrite`` is set.
        overwrite: Whether the results of an earlier run may be replaced.

    Raises:
        UserError: ``out`` is in use or cannot be written. Messages of the block name ``out`` instead
            of the temporary folder.
    """
    try:
        # "." or a link cannot be replaced, but the folder they name can.
        target = out.resolve()
        _check_free(target, out, overwrite=overwrite)
        made = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}") from None
    partial = None
    try:
        try:
            partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=partial_prefix(target)))
        except OSError as error:
            raise UserError(f"cannot write to {target.parent}: {error.strerror}") from None
        yield partial
        partial.chmod(0o755)  # mkdtemp lets only the owner read
        _replace(target, partial)
        made = []  # kept, now that they hold results
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
    """Name the results' folder in a message instead of the hidden one that is being filled."""
    return text.replace(str(partial), str(out))


def _check_free(target: Path, out: Path, *, overwrite: bool) -> None:
    """Refuse a destination that holds anything but results that may be replaced."""
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
            raise UserError(
                f"{out} does not hold results of topo-adapt, so it is not overwritten; choose another folder"
            )


def _replace(target: Path, partial: Path) -> None:
    """Move the new results in; the old ones are deleted only once the new ones are in place."""
    if not target.exists():
        partial.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{partial.name}-old-"))
    target.rename(old)  # a folder may be moved onto an empty one
    try:
        partial.rename(target)
    except BaseException:  # also Ctrl-C: the earlier results must not stay under a hidden name
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
