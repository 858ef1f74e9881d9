"""Fuzzing of readers: damaged copies of good files must be refused in one line, or read; nothing else may happen."""

from __future__ import annotations

import multiprocessing
import random
import resource
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from adaptation.support.errors import UserError

MEMORY = 2 << 30  # bytes that a reader may take beyond what the process had
LONGEST_LINE = 600  # characters of an error

Read = Callable[[Path], object]
"""Reads a file. It may assert what holds for every result, so that a wrong one is found, too."""


@dataclass
class Outcome:
    """What became of the files: how many were read and refused, and the findings, one text each."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        total = sum(self.counts.values()) + len(self.findings)
        return f"{total} files: {dict(self.counts)}, {len(self.findings)} findings"


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a copy with one to three kinds of damage."""
    for _ in range(chance.randint(1, 3)):
        place, length = chance.randrange(len(content) + 1), chance.choice((1, 2, 8, 64, 1024))
        before, after = content[:place], content[place:]
        match chance.randrange(7):
            case 0:  # cut off
                content = before
            case 1:  # overwritten
                content = before + chance.randbytes(length) + after[length:]
            case 2:  # inserted
                content = before + chance.randbytes(length) + after
            case 3:  # removed
                content = before + after[length:]
            case 4:  # zeros, as after a failed download
                content = before + bytes(min(length, len(after))) + after[length:]
            case 5:  # one bit
                if after:
                    content = before + bytes([after[0] ^ (1 << chance.randrange(8))]) + after[1:]
            case 6:  # a part twice
                content = before + after[:length] + after
    return content


def damaged_files(good: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield damaged copies of good files, the same for the same seed, and a few files that were never good."""
    chance = random.Random(seed)
    yield from (
        b"",
        b"\0",
        b"PK\x03\x04",
        b"{}",
        b"[]",
        b"\x80\x04.",
        chance.randbytes(4096),
        "größe\n".encode("latin1"),
    )
    for _ in range(count):
        yield damaged(chance.choice(good), chance)


def fuzz(
    read: Read, good: Sequence[bytes], suffix: str, *, count: int = 300, seed: int = 0, seconds: int = 10
) -> Outcome:
    """Read damaged copies of good files in a process of bounded memory, each for a bounded time.

    Args:
        read: reader; a function of a module, since the process imports it by name.
        good: contents of files that the reader accepts.
        suffix: suffix of the files.
        count: number of damaged copies.
        seed: seed of the damage.
        seconds: longest time for one file.
    """
    outcome, files = Outcome(), list(damaged_files(good, count, seed))
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads in any state
    done = 0
    while done < len(files):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_read_all, args=(read, files[done:], suffix, theirs, seconds))
        process.start()
        theirs.close()
        try:
            while True:
                kind, text = ours.recv()
                done += 1
                if kind == "finding":
                    outcome.findings.append(f"file {done - 1} of seed {seed}: {text}")
                else:
                    outcome.counts[kind] += 1
        except EOFError:
            process.join()
        if done < len(files):  # the process died over this file: a crash, or SIGALRM after `seconds`
            outcome.findings.append(f"file {done} of seed {seed}: the process ended with {process.exitcode}")
            done += 1
    return outcome


def _read_all(read: Read, files: Sequence[bytes], suffix: str, results: Connection, seconds: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        for content in files:
            path.write_bytes(content)
            signal.alarm(seconds)
            results.send(_outcome(read, path))
            signal.alarm(0)


def _outcome(read: Read, path: Path) -> tuple[str, str]:
    try:
        read(path)
    except UserError as error:
        text = str(error)
        clear = "\n" not in text and 0 < len(text) <= LONGEST_LINE and "Traceback" not in text
        return ("refused", text) if clear else ("finding", f"not one clear line: {text[:1000]}")
    except BaseException:
        return "finding", traceback.format_exc()
    return "read", ""
