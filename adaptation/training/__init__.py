"""Training: the pose prior, source regressors, and their adaptation to a target."""
