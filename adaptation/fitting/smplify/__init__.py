"""SMPLify: bodies fitted to 2D keypoints (Bogo et al., "Keep it SMPL", ECCV 2016)."""
