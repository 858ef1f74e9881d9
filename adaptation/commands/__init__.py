"""The commands of ``topo-adapt``, one file each."""
