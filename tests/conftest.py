from __future__ import annotations

import pytest
import torch

import topokernels


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        if not topokernels.has_cuda():
            pytest.skip("topokernels was built without CUDA")
    return torch.device(request.param)
