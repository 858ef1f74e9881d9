"""Commands of ``topo-adapt``, one file each: signature, help texts and program."""
