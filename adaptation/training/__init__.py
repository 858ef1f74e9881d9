"""Training runs: the loop, their files, and the networks that are trained on labelled data."""
