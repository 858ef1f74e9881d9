"""The one exception that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Bad input from outside: one line that says what was wrong and what to do.

    The command line prints it without a traceback and exits with code 2.
    """
