"""What an input is, what it can be used for, and what to do if it cannot: the programs behind ``topo-adapt check``."""
