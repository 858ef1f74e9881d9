"""Networks that predict bodies from crops, and their files."""
