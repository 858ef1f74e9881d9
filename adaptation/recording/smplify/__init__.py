"""`topo-adapt smplify`: bodies of the people in a recording or a crop set, fitted to their keypoints."""
