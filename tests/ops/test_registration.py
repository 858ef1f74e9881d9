"""Every operator works with torch's features: fake tensors, autograd, compile, vmap, autocast, determinism."""

from __future__ import annotations

import pytest
import torch
from functions import FUNCTIONS, gradient, tensors, threads
from samples import Sample, all_samples, blobs, soft
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from topokernels import chamfer, d2t, has_cuda, s2d

SAMPLES = all_samples()
OPERATORS = sorted(
    name.split("::")[1].split(".")[0] for name in torch._C._dispatch_get_all_op_names() if name.startswith("topo::")
)


# ---- every operator of the namespace ----


@pytest.mark.parametrize("op", OPERATORS)
def test_every_operator_has_a_sample_and_kernels(op: str) -> None:
    assert [sample for sample in SAMPLES if sample.op == op], f"add a sample of topo::{op}"
    name = f"topo::{op}"
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
    for key in ("CPU", "CUDA") if has_cuda() else ("CPU",):
        assert composite or torch._C._dispatch_has_kernel_for_dispatch_key(name, key)


def test_the_namespace_is_not_empty() -> None:
    public = {"s2d", "d2t", "skeleton", "chamfer", "mask_chamfer", "m2s", "rasterize"}
    assert public | {"s2d_backward", "d2t_backward", "skeleton_backward", "mask_chamfer_backward"} <= set(OPERATORS)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_fake_kernel_gives_shape_dtype_and_layout(sample: Sample) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = tuple(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in sample.arguments())
        faked = getattr(torch.ops.topo, sample.op).default(*fakes, **sample.kwargs)
    for fake, real in zip(tensors(faked), tensors(sample.call()), strict=True):
        assert (fake.shape, fake.dtype) == (real.shape, real.dtype)
        assert fake.stride() == real.stride()


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_opcheck(sample: Sample, device: torch.device) -> None:
    op = getattr(torch.ops.topo, sample.op).default
    torch.library.opcheck(op, sample.arguments(device), sample.kwargs)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_devices_agree(sample: Sample, device: torch.device) -> None:
    """Also checks that a second call returns bitwise equal results."""
    first, second = tensors(sample.call(device)), tensors(sample.call(device))
    for a, b, cpu in zip(first, second, tensors(sample.call("cpu")), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a.cpu(), cpu)


# ---- transforms ----


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiles_whole_with_its_gradient(name: str, device: torch.device) -> None:
    torch.compiler.reset()
    function = FUNCTIONS[name]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for shape in ((2, 9, 11), (3, 13, 8)):  # the second one with dynamic shapes
        mask = blobs(1, *shape).to(device)
        assert torch.equal(compiled(mask), function(mask))
        assert torch.equal(gradient(compiled, mask), gradient(function, mask))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_forward_and_gradient(name: str, device: torch.device) -> None:
    function = FUNCTIONS[name]
    masks = torch.stack([blobs(2, 3, 9, 10), soft(3, 3, 9, 10), blobs(4, 3, 9, 10)]).to(device)
    expected = torch.stack([function(mask) for mask in masks])
    assert torch.equal(torch.vmap(function)(masks), expected)
    assert torch.equal(torch.vmap(function, in_dims=1)(masks), expected.transpose(0, 1))
    assert torch.equal(torch.vmap(torch.vmap(function))(masks), expected)

    def total(mask: Tensor) -> Tensor:
        return function(mask).sum()

    grads = torch.stack([torch.func.grad(total)(mask) for mask in masks])
    assert torch.equal(torch.vmap(torch.func.grad(total))(masks), grads)
    assert torch.equal(torch.func.grad(lambda m: torch.vmap(function)(m).sum())(masks), grads)


def test_vmap_over_one_argument_only() -> None:
    pred, target = blobs(5, 12, 8, 9).reshape(4, 3, 8, 9), blobs(6, 3, 8, 9)
    loss = torch.vmap(lambda p, t: chamfer(p, t, reduction="none"), in_dims=(0, None))
    assert torch.equal(loss(pred, target), torch.stack([chamfer(p, target, reduction="none") for p in pred]))
    skeleton = torch.vmap(d2t, in_dims=(None, 0))
    distance = s2d(target)
    assert torch.equal(skeleton(distance, pred), torch.stack([d2t(distance, p) for p in pred]))


def test_vmap_over_cotangents() -> None:
    """The rows of a Jacobian in one backward: the gradients are mapped, the mask is not."""
    mask = blobs(7, 1, 5, 6)[0].requires_grad_()
    for function in (s2d, lambda m: d2t(s2d(m), m)):
        out = function(mask)
        units = torch.eye(30, dtype=torch.float64).reshape(30, 5, 6)

        def row(unit: Tensor, out: Tensor = out) -> Tensor:
            return torch.autograd.grad(out, mask, unit, retain_graph=True)[0]

        assert torch.equal(torch.vmap(row)(units), torch.stack([row(unit) for unit in units]))
        torch.testing.assert_close(
            torch.func.jacrev(function)(mask.detach()), torch.vmap(row)(units).reshape(5, 6, 5, 6)
        )


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_autocast_changes_nothing(name: str, low: torch.dtype, device: torch.device) -> None:
    function, mask = FUNCTIONS[name], soft(8, 2, 9, 10, dtype=torch.float32).to(device)
    expected, expected_grad = function(mask), gradient(function, mask)
    with torch.autocast(device.type, dtype=low):
        result, result_grad = function(mask), gradient(function, mask)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)
    assert torch.equal(result_grad, expected_grad)


# ---- determinism ----


@pytest.mark.parametrize("name", FUNCTIONS)
def test_number_of_threads_does_not_show(name: str) -> None:
    mask = torch.cat([blobs(9, 9, 30, 33), soft(10, 4, 30, 33)]).float()
    results = []
    for count in (1, 2, 5):
        with threads(count):
            results.append((FUNCTIONS[name](mask), gradient(FUNCTIONS[name], mask)))
    for other in results[1:]:
        assert torch.equal(other[0], results[0][0])
        assert torch.equal(other[1], results[0][1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_deterministic_algorithms_mode_is_accepted(name: str, device: torch.device) -> None:
    mask = blobs(11, 2, 9, 9).to(device)
    expected = gradient(FUNCTIONS[name], mask)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(gradient(FUNCTIONS[name], mask), expected)
    finally:
        torch.use_deterministic_algorithms(before)


# ---- autograd bookkeeping ----


def test_gradient_only_where_it_is_needed() -> None:
    mask = blobs(15, 1, 7, 8)
    distance = s2d(mask)
    leaf = distance.clone().requires_grad_()
    d2t(leaf, mask).sum().backward()
    assert leaf.grad is not None
    leaf = mask.clone().requires_grad_()
    d2t(distance, leaf).sum().backward()
    assert torch.equal(leaf.grad, d2t(distance, mask))
    with torch.no_grad():
        assert not s2d(leaf).requires_grad
    with torch.inference_mode():
        assert torch.equal(s2d(mask), distance)


def test_saved_mask_may_not_change_before_the_backward() -> None:
    leaf = blobs(16, 1, 7, 8).requires_grad_()
    mask = leaf * 1
    out = s2d(mask)
    with torch.no_grad():
        mask.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_inputs_are_left_alone(device: torch.device) -> None:
    for sample in SAMPLES:
        arguments = sample.arguments(device)
        before = [a.detach().clone() if isinstance(a, Tensor) else a for a in arguments]
        getattr(torch.ops.topo, sample.op).default(*arguments, **sample.kwargs)
        for a, b in zip(arguments, before, strict=True):
            assert torch.equal(a, b) if isinstance(a, Tensor) else a == b
