"""Networks that predict bodies from crops, and the files they are stored in."""
