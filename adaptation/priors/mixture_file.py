"""SMPLify's file of its mixture of Gaussians, ``gmm_08.pkl``, read without executing anything in it.

It is a pickled dict of NumPy arrays: ``means`` (8, 69), ``covars`` (8, 69, 69) and ``weights`` (8,). The poses are
axis-angle in SMPL's joint order, without the root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaptation.priors.mixture import MixturePosePrior, checked_mixture
from adaptation.support.errors import UserError, reason
from adaptation.support.reading.inert_pickle import RefusedError, plain, read_pickle

_KEYS = ("means", "covars", "weights")


def read_gmm(path: Path) -> MixturePosePrior:
    """Read ``gmm_08.pkl``, or a file in its layout with another number of Gaussians.

    Raises:
        UserError: the file is missing or damaged, names code to be loaded, or has another layout.
    """
    try:
        held = plain(read_pickle(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except RefusedError as error:
        raise UserError(
            f"{path} refused: loading it could run code: it names {error}; expected a pickled dict of NumPy's arrays "
            f"{', '.join(_KEYS)}, as gmm_08.pkl is"
        ) from None
    except Exception as error:  # damaged pickles raise errors of nearly every type
        raise UserError(f"{path} is damaged or not a mixture of Gaussians: {reason(error)}") from None
    if not isinstance(held, dict) or not all(_is_numbers(held.get(key)) for key in _KEYS):
        raise UserError(f"{path}: expected a pickled dict of the arrays {', '.join(_KEYS)}, as gmm_08.pkl is")
    return checked_mixture([torch.from_numpy(np.array(held[key], np.float64)) for key in _KEYS], path)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.ndim > 0
