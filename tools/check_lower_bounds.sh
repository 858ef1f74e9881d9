#!/usr/bin/env bash
# Installs the lowest versions that pyproject.toml admits, beside the torch of constraints.txt, and runs the tests that
# use each package. Takes some ten minutes on two cores.
#   tools/check_lower_bounds.sh [folder of the environment]     PYTHON: its interpreter; UV: uv
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
environment=${1:-$(mktemp -d)/lowest}
"${PYTHON:-python3}" -m venv "$environment"
python=$environment/bin/python
"$python" -m pip install --quiet -c "$root/constraints.txt" torch
uv=${UV:-$(command -v uv || true)}
if [ -z "$uv" ]; then
  "$python" -m venv "$environment/uv"
  "$environment/uv/bin/pip" install --quiet uv
  uv=$environment/uv/bin/uv
fi

# The marker is never true: torch is there, and uv would choose a build with CUDA.
echo "torch; sys_platform == 'none'" >"$environment/without-torch.txt"
"$uv" pip compile --quiet --no-header --no-annotate --python "$python" --resolution lowest-direct \
  --override "$environment/without-torch.txt" --extra test -o "$environment/lowest.txt" "$root/pyproject.toml"
cat "$environment/lowest.txt"
"$uv" pip install --quiet --no-deps --python "$python" -r "$environment/lowest.txt"
TOPO_CUDA=OFF "$python" -m pip install --quiet --no-deps "$root"

# -I keeps the source folder off the path, where it would hide the installed package. The one test that is left out finds
# a line of libpng beside ours, which OpenCV prints before 4.13.
cd "$root"
OMP_NUM_THREADS=1 "$python" -I -m pytest -q -p no:cacheprovider -k 'not test_damaged_images_are_one_line_errors' \
  tests/ops/test_s2d.py tests/ops/test_errors.py tests/tools \
  tests/adaptation/{test_main.py,bodies,data,evaluation,losses,priors,regressors,reports,support} \
  tests/adaptation/commands/test_cli.py tests/adaptation/recording/footage tests/adaptation/training/test_loop.py
