"""Sets of crops with whatever is known about them, and the files they are read from."""
