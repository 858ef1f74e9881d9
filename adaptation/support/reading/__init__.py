"""Reading files of unknown origin: what they are, what was found in them, and NumPy's formats."""
