"""The floating-point environment that NumPy's own arithmetic runs in while an op works."""

from __future__ import annotations

from contextlib import ContextDecorator

from .._native import cpu as native

__all__ = ["strict_floats"]


class strict_floats(ContextDecorator):
    """Round to nearest and keep numbers below the normal range, whatever the caller's thread has set.

    Other libraries can make this thread flush them to zero (`torch.set_flush_denormal`), which changes
    NumPy's conversions as well. The caller's setting comes back at the end. Without the native module nothing
    can be set, and the caller's environment stays.

    Examples
    --------
    >>> with strict_floats():
    ...     float(1e-40 * 1.0) > 0
    True
    """

    def _recreate_cm(self) -> strict_floats:  # a decorator is shared between threads, its state must not be
        return strict_floats()

    def __enter__(self) -> strict_floats:
        self._caller = None if native is None else native.enter_strict_floats()
        return self

    def __exit__(self, *error: object) -> None:
        if self._caller is not None:
            native.leave_strict_floats(self._caller)
