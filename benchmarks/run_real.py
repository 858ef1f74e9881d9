"""Judge results on recordings of real people: ``python benchmarks/run_real.py --help``."""

from real.program import main

if __name__ == "__main__":
    main()
