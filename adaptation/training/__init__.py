"""Training: the loop, the files of a run, and the networks that are trained on labelled data."""
