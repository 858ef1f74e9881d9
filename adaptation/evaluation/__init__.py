"""Error metrics of predicted bodies, and the scores of a regressor."""
