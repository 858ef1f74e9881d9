"""The exceptions that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Bad input from outside: one line that says what was wrong and what to do.

    The command line prints it without a traceback and exits with its code.
    """

    code = 2


class Interrupted(UserError):
    """Ctrl-C in the middle of something that can go on; the line says from where."""

    code = 130
