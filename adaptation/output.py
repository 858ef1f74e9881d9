"""Result folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adaptation.errors import UserError

# Written last into every result folder, so that --overwrite only ever removes results.
MARKER = "settings.json"


@contextmanager
def result_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, moved to ``out`` when the block ends without an error, and removed otherwise.

    Args:
        out: where the results are to be; must not exist, or be empty.
        overwrite: whether the results of an earlier run may be replaced.

    Raises:
        UserError: ``out`` is in use, or cannot be written.
    """
    if out.exists():
        if not out.is_dir():
            raise UserError(f"{out} is a file; --out must name a folder")
        if any(out.iterdir()):
            if not overwrite:
                raise UserError(f"{out} is not empty; choose another folder, or replace it with --overwrite")
            if not (out / MARKER).is_file():
                raise UserError(f"{out} does not hold results of topo-adapt; it is not overwritten")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    except OSError as error:
        raise UserError(f"cannot write to {out.parent}: {error.strerror}") from None
    try:
        yield partial
        if out.exists():
            shutil.rmtree(out)
        partial.chmod(0o755)
        partial.rename(out)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or out}: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
