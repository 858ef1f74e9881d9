# make demo | make test | make bench | make evidence | make lint | make sanitize
# Everything runs in a virtual environment of its own, $(VENV), made on first use.

PYTHON ?= python3
VENV ?= .venv
OUT ?= $(if $(VIDEO),out/fit,out/demo)
BIN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt constraints.txt $(shell find csrc topokernels adaptation tools -type f -not -name '*.so' -not -path '*/__pycache__/*')

.PHONY: install test demo bench evidence lint sanitize clean

install: $(VENV)/installed

# torch first: the build then finds it and does not fetch another one.
$(VENV)/installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt '.[test]'
	touch $@

test: install
	$(BIN)/pytest

# VIDEO=path fits the people of a video or folder of frames; FRAMES=10,20,30-40 picks frames.
demo: install
ifdef VIDEO
	$(BIN)/topo-adapt fit "$(VIDEO)" --overwrite --out "$(OUT)" $(if $(FRAMES),--frames $(FRAMES))
else
	$(BIN)/topo-adapt demo --overwrite --out "$(OUT)"
endif

# Every operator against its peers on the CPU, about ten minutes; then which bars are met. With a GPU:
# $(BIN)/python benchmarks/gpu_suite.py --out out/gpu
bench: install
	for op in s2d edt masks d2t chamfer topology_loss; do $(BIN)/python benchmarks/bench_$$op.py --device cpu --out out/bench || exit 1; done
	TOPO_SIMD_LEVEL=avx2 $(BIN)/python benchmarks/bench_s2d.py --device cpu --masks inward outward --out out/bench
	$(BIN)/python benchmarks/bars.py out/bench

# Every method on every kind of shift, and docs/evidence.md from it; hours on 2 cores, stops and goes on at any cell.
# QUICK=--quick runs the same on little data; VIDEO=cam.avi adds a recording; PRECISION=bfloat16 takes half the time on
# processors that have it.
PRECISION ?= float32
evidence: $(VENV)/dev
	$(BIN)/python benchmarks/run_evidence.py --work out/evidence --precision $(PRECISION) $(QUICK) $(if $(VIDEO),--video "$(VIDEO)") \
		$(if $(QUICK),--out out/evidence/evidence.json,--out benchmarks/results/evidence.json --document docs/evidence.md)

$(VENV)/dev: $(VENV)/installed
	$(BIN)/pip install --quiet -c constraints.txt '.[dev]'
	touch $@

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.cpp' 'csrc/*.h' 'csrc/*.cu' 'csrc/*.cuh' 'tests/*.cpp' 'tests/*.h')
	$(BIN)/mypy

# The operator tests once more under AddressSanitizer and UndefinedBehaviorSanitizer (CPU).
sanitize: install
	PYTHON=$(BIN)/python tools/sanitize.sh

clean:
	rm -rf $(VENV) build build-sanitize out
