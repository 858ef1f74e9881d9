"""Measure the systems of docs/systems.md on people whose poses are known.

python benchmarks/run_systems.py --work out/systems
"""

from systems.program import main

if __name__ == "__main__":
    main()
