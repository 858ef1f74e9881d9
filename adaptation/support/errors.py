"""Exceptions whose messages are shown to the user."""

from __future__ import annotations


class UserError(Exception):
    """Invalid input from outside; the message is one line that says what was wrong and what to do.

    The command line prints the message without a traceback and exits with the class's code.
    """

    code = 2  # as for wrong command-line options


def reason(error: Exception) -> str:
    """Return the first line of another library's error, or the name of its class if it has no text."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Interrupted(UserError):
    """Ctrl-C during work that can be resumed; the message says from where."""

    code = 130  # 128 + SIGINT, as shells report it
