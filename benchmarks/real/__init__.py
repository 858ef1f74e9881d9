"""Results of `topo-adapt` on recordings of real people, judged by a detector and by triangulated skeletons."""
