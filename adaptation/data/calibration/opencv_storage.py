"""Numbers and matrices of OpenCV's FileStorage: YAML, XML or JSON.

`cv2.FileStorage` corrupts memory over damaged YAML (OpenCV 5.0), so the little that calibrations need is read here: the
top level, with numbers, lists of numbers and elements of the type ``opencv-matrix``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from adaptation.data.calibration.pose import read_small, short
from adaptation.support.errors import UserError, reason

Values = dict[str, npt.NDArray[np.float64] | None]

_KEY = re.compile(r"""["']?([A-Za-z_][\w.-]*)["']?\s*:(.*)""")  # at the start of a line: the top level of YAML
_DATA = re.compile(r"data\s*:\s*\[([^\]]*)\]?")
_TAG = re.compile(r"!!\S+")
_SEPARATORS = re.compile(r"[\s,\[\]]+|^-\s|(?<=\s)-\s")  # also the dashes of lists with one number a line
_WORDS = {".nan": "nan", ".inf": "inf", "-.inf": "-inf", "+.inf": "inf"}
_MOST_NUMBERS = 100_000  # in one matrix


def read_storage(file: Path) -> Values:
    """Read the top level of a file.

    Returns:
        The numbers of each key, flat; None for texts and whatever else is no list of numbers.

    Raises:
        UserError: the file cannot be read, or is neither YAML nor XML nor JSON.
    """
    try:
        text = read_small(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{file}: found bytes that are not text, expected YAML, XML or JSON of OpenCV") from None
    start = text.lstrip()[:1]
    if start == "<":
        return _xml(text, file)
    return _json(text, file) if start == "{" else _yaml(text)


def _yaml(text: str) -> Values:
    """Read OpenCV's YAML, and lists in brackets as other programs write them."""
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if match := _KEY.match(line):
            current = parts.setdefault(match[1], [])
            current.append(match[2])
        elif line[:1].isspace() or line.startswith("- "):
            current.append(line)
    values: Values = {}
    for key, lines in parts.items():
        body = "\n".join(line.split(" #")[0] for line in lines)
        data = _DATA.search(body)
        values[key] = _numbers(data[1] if data else _TAG.sub("", body))
    return values


def _xml(text: str, file: Path) -> Values:
    """Read OpenCV's XML: the children of its root, and of each its element 'data' if it has one."""
    texts: dict[str, list[str]] = {}
    with_data: set[str] = set()
    path: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        path.append(name)
        if len(path) == 2:
            texts.setdefault(name, [])
        if len(path) == 3 and name == "data" and path[1] not in with_data:
            with_data.add(path[1])
            texts[path[1]].clear()  # of the numbers of rows and columns

    def end(_: str) -> None:
        path.pop()

    def characters(content: str) -> None:
        if len(path) >= 2 and (path[1] not in with_data or path[2:3] == ["data"]):
            texts[path[1]].append(content)

    def refuse(*_: object) -> None:
        raise UserError(f"{file}: found a document type or entities, which no calibration needs; remove them")

    parser = expat.ParserCreate()
    parser.buffer_text = True  # numbers must not be split between calls
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    # Entities are defined in a document type alone. They may expand to any size, or read other files.
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UserError(f"{file} is not readable XML: {reason(error)}") from None
    return {key: _numbers(" ".join(parts)) for key, parts in texts.items()}


def _json(text: str, file: Path) -> Values:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not readable JSON: {reason(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: found JSON without keys, expected that of OpenCV's FileStorage")
    # Their text has brackets and commas alone beside numbers.
    return {
        str(key): _numbers(str(value.get("data") if isinstance(value, dict) else value))
        for key, value in content.items()
    }


def _numbers(text: str) -> npt.NDArray[np.float64] | None:
    words = [word for word in _SEPARATORS.split(text.strip(), maxsplit=_MOST_NUMBERS) if word]
    try:
        return np.array([float(_WORDS.get(word.lower(), word)) for word in words]) if words else None
    except ValueError:
        return None


def shape_of(values: npt.NDArray[np.float64] | None) -> str:
    """Return how many numbers there are, for messages."""
    return "no numbers" if values is None else f"{values.size} numbers"


def keys_of(values: Values) -> str:
    """Return the first keys, for messages."""
    return f"the keys {', '.join(short(key) for key in list(values)[:6])}" if values else "no keys"
