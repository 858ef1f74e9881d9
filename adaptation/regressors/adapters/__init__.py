"""Adapters for public networks: each makes a `MeshNetwork` of the project's own network object or checkpoint.

No module here imports those projects, except the `load` functions when they are called.
"""
