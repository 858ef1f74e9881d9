"""Read motion in Acclaim's two files: ASF, a skeleton, and AMC, the angles of each frame.

Source of the format: J. Lander, "Working with motion capture file formats", Game Developer, January 1998. A bone with
the axes C, angles M and a parent P is turned by P C M C^-1; all Euler angles are applied in the order of their names,
so "XYZ" is Rz Ry Rx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptation.data.motion.clip import INCH, MOST_JOINTS, Floats, Motion, about_axis, chained, read_text, to_numbers
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found

RATE = 120.0  # frames per second of CMU's recordings; the files do not state it
_DEGREES_OF_FREEDOM = ("rx", "ry", "rz", "tx", "ty", "tz", "l")
_ADVICE = "download it again"


@dataclass(frozen=True)
class _Bone:
    """A bone of an ASF file: rest vector, axes (3, 3), and its degrees of freedom in the order of their values."""

    vector: Floats
    axes: Floats
    freedom: tuple[str, ...]


@dataclass(frozen=True)
class _Skeleton:
    names: tuple[str, ...]  # "root" first, parents before children
    parents: tuple[int, ...]
    bones: tuple[_Bone, ...]
    scale: float  # metres per unit
    degrees: bool


def read_acclaim(path: Path, skeleton: Path | None = None, rate: float = RATE) -> Motion:
    """Read an AMC file with its ASF file. Each bone becomes the joint at its upper end.

    Args:
        path: AMC file.
        skeleton: ASF file; None looks beside the AMC file for the one that its name begins with, such as 01.asf for
            01_05.amc, or else the only one there.
        rate: frames per second, which neither file states.

    Raises:
        UserError: a file is missing, damaged or of another format, or the two do not belong together.
    """
    bones = _read_asf(skeleton or _beside(path))
    angles = _read_amc(path, bones)
    found(f"AMC files do not state their rate: {rate:g} frames per second are assumed")
    local = np.tile(np.eye(3), (len(angles), len(bones.names), 1, 1))
    roots, column = np.zeros((len(angles), 3)), 0
    for joint, bone in enumerate(bones.bones):
        turn = np.eye(3)
        for freedom in bone.freedom:
            values = angles[:, column]
            column += 1
            if freedom.startswith("r"):
                # The angle that is listed first is applied first.
                turn = about_axis("xyz".index(freedom[1]), values) @ turn
            elif joint == 0:
                roots[:, "xyz".index(freedom[1])] = values
        local[:, joint] = bone.axes @ turn @ bone.axes.T
    # A joint lies at the end of its parent's bone.
    offsets = np.array([np.zeros(3), *(bones.bones[parent].vector for parent in bones.parents[1:])])
    return Motion(
        names=bones.names,
        parents=bones.parents,
        offsets=offsets * bones.scale,
        rotations=chained(local, bones.parents),
        roots=roots * bones.scale,
        times=np.arange(len(angles)) / rate,
        source=path.name,
    )


def is_skeleton(text: str) -> bool:
    """Return whether a text is an ASF file."""
    return re.search(r"^\s*:(version|hierarchy|bonedata)\b", text, re.MULTILINE) is not None


def is_motion(text: str) -> bool:
    """Return whether a text is an AMC file."""
    return re.match(r"(\s*#[^\n]*\n)*\s*(:[\w-]+\s+)*1\s+root\b", text) is not None


def _beside(path: Path) -> Path:
    """Find the skeleton of an AMC file in its folder."""
    candidates = sorted(each for each in path.parent.glob("*") if each.suffix.lower() == ".asf")
    named = [each for each in candidates if re.match(rf"{re.escape(each.stem)}(?![0-9A-Za-z])", path.stem)]
    fitting = named if len(named) == 1 else candidates
    if len(fitting) != 1:
        names = ", ".join(each.name for each in candidates[:5]) or "none"
        raise UserError(
            f"{path}: an AMC file needs its ASF file; expected {path.stem.split('_')[0]}.asf beside it, found {names}; "
            "name it with --skeleton"
        )
    if not named:
        found(f"{path}: read with {fitting[0].name}, the only ASF file beside it")
    return fitting[0]


def _read_asf(path: Path) -> _Skeleton:
    """Read a skeleton."""
    text = re.sub(r"#[^\n]*", "", read_text(path))
    sections = {
        found_section[1].lower(): found_section[2]
        for found_section in re.finditer(r"^\s*:(\w+)([^\n]*(?:\n(?!\s*:)[^\n]*)*)", text, re.MULTILINE)
    }
    missing = [name for name in ("root", "bonedata", "hierarchy") if name not in sections]
    if missing:
        raise UserError(f"{path}: expected an ASF file with :root, :bonedata and :hierarchy; {missing[0]} is missing")
    units = sections.get("units", "")
    length = to_numbers(re.findall(r"length\s+(\S+)", units)[:1] or ["1"], path, "the unit of length")[0]
    if not 1e-4 < length < 1e4:
        raise UserError(f"{path}: the unit of length is {length:g}; expected such as 0.45")
    degrees = "rad" not in units.lower()
    bones = {"root": _root(sections["root"], path)}
    blocks = re.findall(r"\bbegin\b(.*?)\bend\b", sections["bonedata"], re.DOTALL)
    if len(blocks) > MOST_JOINTS:
        raise UserError(f"{path}: {len(blocks)} bones, more than {MOST_JOINTS}; the file is damaged, {_ADVICE}")
    for block in blocks:
        name, bone = _bone(block, degrees, path)
        if name in bones:
            raise UserError(f"{path}: two bones are called {name!r}; the file is damaged, {_ADVICE}")
        bones[name] = bone
    names, parents = _tree(sections["hierarchy"], set(bones), path)
    # CMU's lengths are inches times the unit.
    return _Skeleton(names, parents, tuple(bones[name] for name in names), INCH / float(length), degrees)


def _root(text: str, path: Path) -> _Bone:
    words = text.lower().split()
    order = re.search(r"order((?:\s+[tr][xyz]){1,6})", " ".join(words))
    if order is None:
        raise UserError(f"{path}: expected the root's order, such as TX TY TZ RX RY RZ; {_ADVICE}")
    turned = re.search(r"orientation\s+(\S+)\s+(\S+)\s+(\S+)", " ".join(words))
    if turned and to_numbers(list(turned.groups()), path, "the root's orientation").any():
        raise UserError(f"{path}: the root is turned in the rest pose, which is not supported; export with 0 0 0")
    return _Bone(np.zeros(3), np.eye(3), tuple(order[1].split()))


def _bone(block: str, degrees: bool, path: Path) -> tuple[str, _Bone]:
    """Read what stands between begin and end of a bone."""
    name_found = re.search(r"\bname\s+(\S+)", block)
    name = name_found[1] if name_found else "?"
    place = f"bone {name!r}"
    direction = re.search(r"\bdirection\s+(\S+)\s+(\S+)\s+(\S+)", block)
    length = re.search(r"\blength\s+(\S+)", block)
    axis = re.search(r"\baxis\s+(\S+)\s+(\S+)\s+(\S+)\s+([xyzXYZ]{3})\b", block)
    if not (name_found and direction and length and axis):
        raise UserError(f"{path}: {place} lacks name, direction, length or axis; {_ADVICE}")
    freedom = re.search(r"\bdof((?:\s+(?:[rt][xyz]|l)\b)+)", block, re.IGNORECASE)
    vector = to_numbers(list(direction.groups()), path, place)
    size = float(to_numbers([length[1]], path, place)[0])
    if np.linalg.norm(vector) < 1e-9 or not 0 <= size < 1e6:
        raise UserError(f"{path}: {place} has the direction {vector} and the length {size:g}; {_ADVICE}")
    angles = to_numbers(list(axis.groups())[:3], path, place)
    axes = np.eye(3)
    for letter, angle in zip(axis[4].lower(), np.deg2rad(angles) if degrees else angles, strict=True):
        axes = about_axis("xyz".index(letter), angle) @ axes
    letters = tuple(freedom[1].lower().split()) if freedom else ()
    return name, _Bone(vector / np.linalg.norm(vector) * size, axes, letters)


def _tree(text: str, bones: set[str], path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the bones, parents before children, and the parent of each."""
    below: dict[str, list[str]] = {}
    seen = {"root"}
    for parent, *children in (line.split() for line in text.splitlines() if line.strip() not in ("", "begin", "end")):
        for child in children:
            if child not in bones or child in seen:
                raise UserError(
                    f"{path}: :hierarchy names {child[:40]!r}, which is no bone or has two parents; {_ADVICE}"
                )
            seen.add(child)
            below.setdefault(parent, []).append(child)
    names, parents = ["root"], [-1]
    # Lines may come in any order. The list grows while it is gone through.
    for number, name in enumerate(names):
        children = below.pop(name, [])
        names += children
        parents += [number] * len(children)
    if below:
        raise UserError(f"{path}: :hierarchy does not connect {next(iter(below))[:40]!r} with the root; {_ADVICE}")
    return tuple(names), tuple(parents)


def _read_amc(path: Path, skeleton: _Skeleton) -> Floats:
    """Read the values of all frames, (F, values), angles in radians, in the order of the skeleton's bones."""
    text = read_text(path)
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", ":"))]
    starts = [number for number, words in enumerate(lines) if len(words) == 1 and words[0].isdigit()]
    if not starts or starts[0] != 0:
        raise UserError(f"{path}: expected frames that begin with their number, as AMC files have them")
    order = [words[0] for words in lines[1 : starts[1] if len(starts) > 1 else None]]
    counts = {name: len(bone.freedom) for name, bone in zip(skeleton.names, skeleton.bones, strict=True)}
    unknown = [name for name in order if name not in counts]
    if unknown or len(set(order)) < len(order) or "root" not in order:
        raise UserError(
            f"{path}: its bones do not fit the ASF file: {(unknown or order)[0][:40]!r}; is it of this person?"
        )
    sizes = [1, *(1 + counts[name] for name in order)]
    step = len(order) + 1
    if len(lines) % step or starts != list(range(0, len(lines), step)):
        raise UserError(f"{path}: not all frames have the same {len(order)} bones; the file is cut off, {_ADVICE}")
    expected = ["", *order]
    for number, words in enumerate(lines):
        place = number % step
        if len(words) != sizes[place] or (place and words[0] != expected[place]):
            raise UserError(
                f"{path}: frame {number // step + 1}: {' '.join(words)[:60]!r}, expected "
                f"{expected[place] or 'a number'} and {sizes[place] - 1} values; the file is damaged, {_ADVICE}"
            )
    values = to_numbers([word for words in lines for word in words[1:]], path, "the frames")
    values = values.reshape(len(lines) // step, -1)
    degrees = ":radians" not in text[:2000].lower()
    columns: dict[str, Floats] = {}
    column = 0
    for name in order:
        columns[name] = values[:, column : column + counts[name]]
        column += counts[name]
    still = [name for name, count in counts.items() if count and name not in columns]
    if still:
        found(f"{path}: {len(still)} bones of the skeleton do not move, such as {still[0]!r}")
    # Angles alone are converted; the root's position comes in the unit of length.
    parts = []
    for name, bone in zip(skeleton.names, skeleton.bones, strict=True):
        part = columns.get(name, np.zeros((len(values), len(bone.freedom))))
        factors = [np.pi / 180 if letter.startswith("r") and degrees else 1.0 for letter in bone.freedom]
        parts.append(part * np.array(factors).reshape(1, -1))
    return np.concatenate(parts, axis=1)
