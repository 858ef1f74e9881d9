"""The exceptions that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Bad input from outside: one line that says what was wrong and what to do.

    The command line prints it without a traceback and exits with its code.
    """

    code = 2


def reason(error: Exception) -> str:
    """The first line of another library's error, or its kind where it has no text."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Interrupted(UserError):
    """Ctrl-C in the middle of something that can go on; the line says from where."""

    code = 130
