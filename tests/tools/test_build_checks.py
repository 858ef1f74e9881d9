"""What stops a build, each in one line, with compilers and torches that are made up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from build_environments import ROOT, checks, environment_with_torch, script

from topokernels._library import check_torch


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDACXX", "CUDAARCHS", "CUDAHOSTCXX", "CUDA_HOME", "CUDA_PATH", "CXX", "UV"):
        monkeypatch.delenv(name, raising=False)


def fake_nvcc(folder: Path, release: str, last: str = "exit 0") -> Path:
    """An nvcc that states its release and its architectures, and ends what it compiles with `last`."""
    known = "compute_80 compute_90" if release >= "11.8" else "compute_80 compute_87"
    return script(
        folder / "nvcc",
        f"case $1 in --version) echo 'Cuda compilation tools, release {release}, V{release}.1';;",
        f"--list-gpu-arch) printf '%s\\n' {known};;",
        f"*) {last};; esac",
    )


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("2.7.1+cu128", True),
        ("2.9.0", True),
        ("1.13.1", True),
        ("2.10.0a0+gitabc", False),
        ("2.10.0.dev20251101+cu128", False),
        ("2.10.0", False),
        ("2.14.1", False),
        ("3.0", False),
        ("of unknown version", False),
    ],
)
def test_versions_of_torch(tmp_path: Path, version: str, old: bool) -> None:
    torch = checks.Torch(tmp_path / "torch", version)
    assert torch.too_old is old
    if old:
        with pytest.raises(checks.Refusal, match=r"^found torch .* expected 2.10 or later; nothing was changed") as one:
            checks.check_torch(torch)
        assert version in str(one.value) and "\n" not in str(one.value)
        with pytest.raises(ImportError, match=r"expected 2\.10 or later"):
            check_torch(version)  # the same when torch was replaced after the installation
    else:
        with pytest.raises(checks.Refusal, match=r"lacks include/torch/csrc/stable/library\.h"):
            checks.check_torch(torch)
        check_torch(version)


def test_the_lowest_torch_is_the_same_everywhere() -> None:
    number = ".".join(map(str, checks.LOWEST_TORCH))
    assert f'"torch>={number}.0.dev0"' in (ROOT / "pyproject.toml").read_text()
    assert f'"torch>={number}"' in (ROOT / "tools" / "build_backend.py").read_text()
    assert f"TORCH_TARGET_VERSION=0x02{checks.LOWEST_TORCH[1]:02X}" in (ROOT / "CMakeLists.txt").read_text()


def test_finds_the_torch_behind_build_isolation(tmp_path: Path) -> None:
    python = environment_with_torch(tmp_path / "an environment", "2.7.1+cu128")
    # pip hides the environment by a PYTHONPATH, here to the torch of this process.
    hidden = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(
        [python, ROOT / "tools" / "build_checks.py", "torch"], env=hidden, capture_output=True, text=True
    )
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith(f"found torch 2.7.1+cu128 in {tmp_path}")


def test_finds_the_torch_that_uv_installs_beside(tmp_path: Path) -> None:
    build = environment_with_torch(tmp_path / "build", None)
    active = environment_with_torch(tmp_path / "active", "2.9.0")
    path = os.pathsep.join([str(build.parent), str(active.parent), os.environ["PATH"]])
    command = [build, ROOT / "tools" / "build_checks.py", "torch"]
    for uv, text in ({"UV": "uv"}, "found torch 2.9.0 in"), ({}, "no torch was found"):
        bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "UV")}
        run = subprocess.run(command, env={**bare, "PATH": path, **uv}, cwd=tmp_path, capture_output=True, text=True)
        assert text in run.stderr, run


def test_a_folder_left_by_an_uninstalled_torch_is_no_torch(tmp_path: Path) -> None:
    python = environment_with_torch(tmp_path, None)
    (next((tmp_path / "lib").glob("python*")) / "site-packages" / "torch" / "lib").mkdir(parents=True)
    run = subprocess.run([python, "-I", ROOT / "tools" / "build_checks.py", "torch"], capture_output=True, text=True)
    assert "no torch was found" in run.stderr


@pytest.mark.parametrize(
    ("text", "switch"), [("", "AUTO"), ("auto", "AUTO"), ("On", "ON"), ("1", "ON"), ("off", "OFF"), ("FALSE", "OFF")]
)
def test_switch(text: str, switch: str) -> None:
    assert checks.cuda_switch(text) == switch


@pytest.mark.parametrize("text", ["cpu", "OFFF", "None", "2"])
def test_misspelt_switch(text: str) -> None:
    with pytest.raises(checks.Refusal, match=f"^found TOPO_CUDA={text}, expected AUTO, ON or OFF.$"):
        checks.cuda_switch(text)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_other_systems(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(checks.Refusal, match=f"^found {platform}, expected Linux"):
        checks.check_environment()


def test_missing_headers_of_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(checks.Refusal, match=r"^no Python\.h in .*apt install python3-dev"):
        checks.check_environment()


def test_compilers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checks.check_compiler()
    monkeypatch.setenv(
        "CXX", f"'{script(tmp_path / 'my c++', 'cat >/dev/null; echo ; echo error: no such dialect; exit 1')}' -O2"
    )
    with pytest.raises(checks.Refusal, match=r"my c\+\+ does not compile C\+\+17 \(error: no such dialect\)"):
        checks.check_compiler()
    monkeypatch.setenv("CXX", "g++-99")
    with pytest.raises(checks.Refusal, match="CXX names g\\+\\+-99, which is not there"):
        checks.check_compiler()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(checks.Refusal, match=r"no C\+\+ compiler was found; install one"):
        checks.check_compiler()


@pytest.mark.parametrize(
    ("release", "last", "reason"),
    [
        ("11.5", "exit 0", r"^nvcc 11.5 \(.*\) is older than 11.8$"),
        (
            "12.0",
            "echo '#error -- unsupported GNU version! gcc versions later than 12 are not supported!' >&2; exit 1",
            r"^nvcc 12.0 .* does not compile \(#error -- unsupported GNU version!.*set CUDAHOSTCXX",
        ),
        ("12.0", "kill -SEGV $$", r"^nvcc 12.0 .* does not compile \(exit -11\)"),
    ],
)
def test_nvcc_that_cannot_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, last: str, reason: str
) -> None:
    monkeypatch.setenv("CUDACXX", str(fake_nvcc(tmp_path, release, last)))
    with pytest.raises(checks.NoCuda, match=reason) as one:
        checks.find_toolkit(includes=(str(tmp_path),))
    assert "\n" not in str(one.value)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("echo 'nvcc fatal: no cicc' >&2; exit 3", "ends with exit code 3: nvcc fatal: no cicc"),
        ("echo hello", "does not state its release"),
    ],
)
def test_broken_nvcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: str, reason: str) -> None:
    monkeypatch.setenv("CUDACXX", str(script(tmp_path / "nvcc", lines)))
    with pytest.raises(checks.NoCuda, match=reason):
        checks.find_toolkit()


def test_nvcc_that_is_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvcc").write_bytes(b"\x7fELF of another machine")
    for mode in (0o644, 0o755):
        (tmp_path / "nvcc").chmod(mode)
        monkeypatch.setenv("CUDACXX", str(tmp_path / "nvcc"))
        with pytest.raises(checks.NoCuda, match="does not run"):
            checks.find_toolkit()


def test_a_good_nvcc_beside_an_old_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Debian's own toolkit is on PATH, NVIDIA's is not."""
    (tmp_path / "home" / "bin").mkdir(parents=True)
    fake_nvcc(tmp_path, "11.5")
    good = fake_nvcc(tmp_path / "home" / "bin", "12.6")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "home"))
    # Only what this nvcc knows: neither 7.5 nor 12.0.
    assert checks.find_toolkit(includes=(str(tmp_path),)) == checks.Toolkit(str(good), ("80-real", "90"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80", ("80",)), ("8.0;9.0", ("80", "90")), ("80-real, 90a", ("80-real", "90a")), ("native", ("native",))],
)
def test_architectures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    monkeypatch.setenv("CUDACXX", str(fake_nvcc(tmp_path, "12.6")))
    monkeypatch.setenv("CUDAARCHS", text)
    assert checks.find_toolkit().architectures == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("70", "does not compile for 70, only for 80, 90; set CUDAARCHS"), ("sm_80", "^found CUDAARCHS=sm_80, expected")],
)
def test_wrong_architectures_are_refused_in_any_mode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str
) -> None:
    monkeypatch.setenv("CUDACXX", str(fake_nvcc(tmp_path, "12.6")))
    monkeypatch.setenv("CUDAARCHS", text)
    with pytest.raises(checks.Refusal, match=message) as one:
        checks.find_toolkit()
    assert not isinstance(one.value, checks.NoCuda)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
def test_the_default_has_binaries_and_code_for_gpus_to_come() -> None:
    found = checks.find_toolkit().architectures
    assert set(found) <= set(checks.ARCHITECTURES) and "90" in found
