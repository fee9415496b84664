"""Which rows of a cache the new queries may look at, when sequences of a batch hold different numbers of rows."""

from __future__ import annotations

import numpy as np
import torch


class Visibility:
    """New tokens of a batch, appended behind the rows that each sequence had.

    Args:
        rows_before: [batch] rows of each sequence before the new tokens.
        new: number of columns of new tokens.
        real: bool [batch, new], False for padding, which got no row; None if there is none.
    """

    def __init__(self, rows_before: list[int], new: int, real: np.ndarray | None):
        self._before = rows_before
        self._new = new
        self._real = real

    def mask(self, device: torch.device) -> torch.Tensor | None:
        """bool [batch or 1, 1, new, most rows] as torch's scaled_dot_product_attention takes it; None where its own causal rule,
        or no mask at all, says the same."""
        same = self._real is None and min(self._before) == max(self._before)
        if same and (self._new == 1 or self._before[0] == 0):
            return None
        before = np.asarray(self._before)[:, None]
        if self._real is None:
            limits = (before[:1] if same else before) + np.arange(1, self._new + 1)
        else:
            # Padding looks at the first row, so that its softmax is over something; nobody reads the result.
            limits = np.maximum(before + self._real.cumsum(axis=1), 1)
        rows = torch.arange(max(1, int(self._after().max())), dtype=torch.int32, device=device)
        visible: torch.Tensor = rows < torch.from_numpy(limits.astype(np.int32)).to(device)[:, :, None]
        return visible[:, None]

    def _after(self) -> np.ndarray:
        added = self._new if self._real is None else self._real.sum(axis=1)
        return np.add(self._before, added)

    def rows(self, device: torch.device) -> torch.Tensor:
        """int32 [batch], rows that each sequence has now."""
        return torch.from_numpy(self._after().astype(np.int32)).to(device)

    def padding_is_left(self) -> bool:
        return self._real is None or bool((np.diff(self._real.astype(np.int8), axis=1) >= 0).all())
