"""Result of a check."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptation.support.image_files import Image


@dataclass(frozen=True)
class Use:
    """Something that an input may be used for.

    Attributes:
        command: command with the option or argument that takes the input, such as "prior --poses".
        possible: whether it can be used.
        note: what to expect; if it cannot be used, the reason.
    """

    command: str
    possible: bool
    note: str = ""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found in an input.

    Attributes:
        what: what the input is, such as "recording: video".
        facts: pairs of name and value, in the order in which they are shown.
        uses: what it can be used for, and what it cannot be used for, with the reason.
        advice: what the user may do, one line each.
        picture: picture of what was found, or None.
    """

    what: str
    facts: list[tuple[str, str]]
    uses: list[Use]
    advice: list[str] = field(default_factory=list)
    picture: Image | None = None

    @property
    def usable(self) -> bool:
        """Whether the input can be used for anything."""
        return any(use.possible for use in self.uses)
