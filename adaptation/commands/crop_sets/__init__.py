"""Commands that make and change crop sets."""
