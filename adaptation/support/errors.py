"""Exceptions whose messages are shown to the user."""

from __future__ import annotations


class UserError(Exception):
    """Invalid input from outside; the message is one line that says what was wrong and what to do.

    The command line prints the message without a traceback and exits with the class's code.
    """

    code = 2  # as for wrong command-line options

    def __init__(self, message: str) -> None:
        """Keep the message as one line, whatever the names of files in it contain."""
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Return a text with control characters, such as newlines, and bytes that are not UTF-8 as backslash escapes."""
    # File names may hold all of them; a terminal would obey escape sequences.
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )


def reason(error: BaseException) -> str:
    """Return the first line of another library's error, at most 200 characters, or its class if it has no text."""
    # Some libraries quote the file's content.
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


class Interrupted(UserError):
    """Ctrl-C during work that can be resumed; the message says from where."""

    code = 130  # 128 + SIGINT, as shells report it
