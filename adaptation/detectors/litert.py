"""Networks in TensorFlow Lite's format, run on the CPU by LiteRT (package ai-edge-litert, extra "detector")."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError, reason

Floats = npt.NDArray[np.float32]


class Network:
    """A network with one image as its input.

    Attributes:
        size: side of the input, pixels.
    """

    def __init__(self, content: bytes, name: str, threads: int = 1) -> None:
        """Build the network.

        Args:
            content: its file.
            name: its name, for messages.
            threads: CPU threads.

        Raises:
            UserError: LiteRT is not installed, or cannot run the network.
        """
        if find_spec("ai_edge_litert") is None:
            raise UserError(
                f"{name} needs LiteRT, which is not installed; run pip install ai-edge-litert, or install this project "
                "with the extra 'detector'"
            )
        from ai_edge_litert.interpreter import Interpreter

        try:
            with _silent():
                self._interpreter: Any = Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
            (self._input,) = self._interpreter.get_input_details()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{name} cannot be run by LiteRT: {reason(error)}") from None
        self._outputs = self._interpreter.get_output_details()
        self.size = int(self._input["shape"][1])

    def __call__(self, image: Floats) -> dict[tuple[int, ...], Floats]:
        """Run the network.

        Args:
            image: (S, S, 3) RGB, S being ``size``.

        Returns:
            The outputs without their first dimension, by their shapes.
        """
        self._interpreter.set_tensor(self._input["index"], np.ascontiguousarray(image[None], np.float32))
        self._interpreter.invoke()
        arrays = [np.asarray(self._interpreter.get_tensor(each["index"])[0], np.float32) for each in self._outputs]
        return {array.shape: array for array in arrays}


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what native code writes to stderr: LiteRT announces each network there, and raises its errors."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
