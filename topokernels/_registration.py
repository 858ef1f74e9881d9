"""Shared by the operator modules: registration with torch, and the argument checks of the fake kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor
from torch._functorch import autograd_function as functorch
from torch.autograd import forward_ad

from topokernels._library import has_cuda  # isort: skip  loads the operators, which must exist before registrations
from topokernels._build_info import build_info

# How the operators differentiate; topokernels.s2d explains the two.
BackwardMode = Literal["subgradient", "literal"]

_LIBRARY = torch.library.Library("topo", "IMPL")


def explain_missing_cuda() -> None:
    """Gives every operator a CUDA kernel whose error says how to install the real one; torch's own error does not."""

    def missing(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(
            "topokernels was installed without CUDA kernels. Install it again where nvcc is on the PATH, with "
            f"TOPO_CUDA=ON, or move the tensors to the CPU. Why there are none: {build_info().get('cuda_missing')}"
        )

    # Operators without a CPU kernel, such as m2s, are composed of others and reach the error through them.
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("topo::") and torch._C._dispatch_has_kernel_for_dispatch_key(name, "CPU"):
            _LIBRARY.impl(name.removeprefix("topo::"), missing, "CUDA")


if torch.version.cuda is not None and not has_cuda():
    explain_missing_cuda()


def register_autograd(
    op: str,
    backward: Callable[..., Any],
    *,
    setup_context: Callable[..., None] = lambda **_: None,
    forward_mode: Callable[..., Any] | None = None,
) -> None:
    """``torch.library.register_autograd`` that works under ``torch.func.grad`` as well.

    Like a built-in operator, the operator is recorded at the level of the transform that is
    running.

    Args:
        op: the name in the ``topo`` namespace. The operator's positional arguments have no defaults.
        backward: ``backward(ctx, *grads)`` returns one gradient per positional argument. The first
            entries of ``ctx.needs_input_grad`` belong to these arguments.
        setup_context: called with ``ctx``, ``inputs``, ``keyword_only_inputs`` and ``output``.
        forward_mode: the operator in plain torch, called if an input has a tangent. With None such
            a call is an error, because the tangent would be dropped silently.
    """
    overload = getattr(torch.ops.topo, op).default
    options = [argument for argument in overload._schema.arguments if argument.kwarg_only]
    # The dispatcher leaves out keyword arguments that equal their default.
    defaults = {argument.name: argument.default_value for argument in options}

    # As in torch.library: the masked keyset leads to the compiled kernel, and the guard keeps the operators that it
    # calls from being recorded.
    def below_autograd(keyset: Any, inputs: tuple[Any, ...], given: dict[str, Any]) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return overload.redispatch(keyset & torch._C._after_autograd_keyset, *inputs, **given)

    # Keyset and options travel as positional arguments, since apply takes no keyword arguments.
    def record_forward(ctx: Any, *arguments: Any) -> Any:
        *inputs, keyset, given = arguments
        output = below_autograd(keyset, tuple(inputs), given)
        setup_context(ctx=ctx, inputs=inputs, keyword_only_inputs=defaults | given, output=output)
        return output

    def record_backward(ctx: Any, *grads: Tensor) -> Any:
        result = backward(ctx, *grads)
        # The two last arguments of record_forward, keyset and options, have no gradient.
        return (*(result if isinstance(result, tuple) else (result,)), None, None)

    # autograd.Function refuses to run inside a functorch transform, so its single-level base is used. The class is made
    # here because grad_fn and the profiler show the class's name.
    single_level: Any = torch.autograd.function._SingleLevelFunction
    methods = {"forward": staticmethod(record_forward), "backward": staticmethod(record_backward)}
    recorded = type(single_level)(f"topo_{op}_", (single_level,), methods)

    def with_tangents(*inputs: Any, **given: Any) -> Any:
        if forward_mode is None:
            raise RuntimeError(
                f"{op}: forward-mode derivatives (torch.func.jvp, jacfwd, hessian) are not defined. Use reverse mode."
            )
        return forward_mode(*inputs, **given)

    # These are looked up once, since on small images the overhead of the call dominates.
    grad_enabled, requires_grad = torch.is_grad_enabled, torch._C._any_requires_grad
    apply: Any = recorded.apply
    redispatch, after_autograd = overload._handle.redispatch_boxed, torch._C._after_autograd_keyset

    def kernel(keyset: Any, *inputs: Any, **given: Any) -> Any:
        # A level is only entered by forward mode, so in all other cases no input has to be unpacked.
        if forward_ad._current_level >= 0 and any(map(_has_tangent, inputs)):
            return with_tangents(*inputs, **given)
        if not (grad_enabled() and requires_grad(*inputs)):
            return redispatch(keyset & after_autograd, *inputs, **given)  # nothing to record
        # Without this switch the single-level base refuses to run as well.
        with functorch.enable_single_level_autograd_function():  # type: ignore[attr-defined]
            return apply(*inputs, keyset, given)

    # With the keyset, which redispatching to the compiled kernel needs.
    _LIBRARY.impl(op, kernel, "Autograd", with_keyset=True)


def _has_tangent(value: Any) -> bool:
    return isinstance(value, Tensor) and forward_ad.unpack_dual(value, level=0).tangent is not None


def forbid_double_backward(op: str) -> None:
    """Makes it an error to differentiate ``topo::<op>_backward``, for which torch would silently return zeros."""

    def backward(ctx: Any, *grads: Tensor) -> NoReturn:
        raise RuntimeError(
            f"{op}: double backward is not defined: its gradient is piecewise constant in the "
            "input. Do not differentiate through a gradient taken with create_graph=True."
        )

    # The backward is an operator of its own, so that a graph through it reaches this error.
    register_autograd(f"{op}_backward", backward)


def fold_batch(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors of a vmap rule with the mapped dimension first; tensors that are not mapped are expanded."""
    return tuple(
        # Expanded without a copy: its stride along the new dimension is 0.
        tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, in_dims, strict=True)
    )


def check_image_shape(op: str, argument: str, tensor: Tensor) -> None:
    """Fake kernels: the rank and size check of the compiled kernels."""
    torch._check(
        tensor.dim() >= 2,
        lambda: f"{op}: {argument} must have shape (..., H, W), got {_shape(tensor)}",
    )
    torch._check(
        # The kernels keep distances in 16 bits.
        tensor.shape[-2] <= 32768 and tensor.shape[-1] <= 32768,
        lambda: f"{op}: {argument} must be at most 32768 x 32768, got {_shape(tensor)}",
    )


def check_mask_dtype(op: str, argument: str, mask: Tensor) -> None:
    """Fake kernels: the dtype check of the compiled kernels."""
    torch._check(
        mask.is_floating_point() or mask.dtype in (torch.bool, torch.uint8),
        lambda: f"{op}: {argument} must be bool, uint8 or floating point, got {mask.dtype}",
    )


def check_floating(op: str, argument: str, tensor: Tensor) -> None:
    """Fake kernels: the dtype check of the compiled kernels."""
    torch._check(
        tensor.is_floating_point(),
        lambda: f"{op}: {argument} must be floating point, got {tensor.dtype}",
    )


def check_matches(op: str, argument: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Fake kernels: the shape and device checks of the compiled kernels."""
    torch._check(
        tensor.shape == other.shape,
        lambda: f"{op}: {argument} must have the shape of {other_name} {_shape(other)}, got {_shape(tensor)}",
    )
    check_same_device(op, argument, tensor, other_name, other)


def check_same_device(op: str, argument: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Fake kernels: the device check of the compiled kernels."""
    torch._check(
        tensor.device == other.device,
        lambda: f"{op}: {argument} must be on the device of {other_name} {other.device}, got {tensor.device}",
    )


def check_window(op: str, argument: str, size: int) -> None:
    """Fake kernels: the check of a window size of the compiled kernels."""
    torch._check(
        # An even window has no centre, and one of a single pixel neither thins nor finds a ridge.
        size >= 3 and size % 2 == 1,
        lambda: f"{op}: {argument} must be odd and at least 3, got {size}",
    )


def check_connectivity(op: str, connectivity: int) -> None:
    """Fake kernels: the check of the connectivity of the compiled kernels."""
    torch._check(connectivity in (4, 8), lambda: f"{op}: connectivity must be 4 or 8, got {connectivity}")


def check_steps(op: str, iterations: int | None) -> None:
    """Fake kernels: the check of the thinning steps of the compiled kernels."""
    torch._check(
        iterations is None or iterations >= 0,
        lambda: f"{op}: iterations must be at least 0 or None, got {iterations}",
    )


def check_backward_mode(op: str, name: str) -> None:
    """Fake kernels: the check of the backward mode of the compiled kernels."""
    torch._check(
        name in ("literal", "subgradient"),
        lambda: f"{op}: backward must be 'literal' or 'subgradient', got '{name}'",
    )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    # A plain tuple prints as in the messages of the compiled kernels; torch.Size adds its name.
    return tuple(tensor.shape)
