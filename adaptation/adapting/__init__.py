"""Algorithm 1: the adaptation of a regressor to a camera without labels."""
