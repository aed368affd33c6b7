"""Ops that learn factors on a device: rows of a half-sweep of alternating least squares."""

from __future__ import annotations

import numpy as np

from ... import config
from ..._native import cpu as native
from ..factor_ops import AlsRates
from ..sparse_rows import SparseRows
from .launches import Launcher
from .memory import Buffer
from .params import ROW_COMPONENTS, AlsParams, GramParams, RotateParams
from .search import Workspace, Workspaces

__all__ = ["AlsOnDevice", "widest"]

_THREADS, _WARPS = 128, 4  # of blocks of the kernels `als_*`
_STAGED, _MOST_STAGED = 4096, 64  # components, and entries, that a block has in shared memory
_MATRIX_BYTES = 256 << 20  # of matrices that no block's shared memory holds
_GRAM_ROWS, _GRAM_PARTS, _GRAM_NUMBERS = 256, 64, 1 << 23  # as cpu/als/als.cpp divides rows


class AlsOnDevice:
    """What the equations of all rows share, on a device: factors in the eigenvectors of their Gram matrix.

    Attributes
    ----------
    gram : float64 array, shape (d, d)
    """

    def __init__(
        self, launcher: Launcher, workspaces: Workspaces, factors: np.ndarray, unobserved_weight: float
    ) -> None:
        self._launcher, self._workspaces = launcher, workspaces
        self._n, self._d = factors.shape
        self._stride = _up(self._d, ROW_COMPONENTS)
        self._unobserved_weight = unobserved_weight
        self._table: Buffer = launcher.memory.take(self._n * self._stride * 4, "factors")
        with workspaces.own() as workspace:
            n_parts = int(np.clip(_GRAM_NUMBERS // self._stride**2, 1, _GRAM_PARTS))
            n_parts = int(np.clip(self._n // _GRAM_ROWS, 1, n_parts))
            side = self._stride // 4
            sums = np.empty((n_parts, side * (side + 1) // 2, 4, 4))
            at = workspace.lay_out({"rows": self._n * self._stride * 4, "sums": sums.nbytes})
            rows = self._padded(factors)
            launcher.write(at["rows"], rows, workspace.stream)
            self._add_gram(at["rows"], at["sums"], sums, workspace)
            values, vectors = self._eigen()
            self._curvature = unobserved_weight * np.maximum(values, 0)
            both = np.ascontiguousarray([vectors.T, vectors])  # into the eigenvectors, and out of them
            self._vectors = launcher.memory.take(both.nbytes, "eigenvectors")
            launcher.write(self._vectors.address, both, workspace.stream)
            self._rotate(at["rows"], self._n, True, self._table.address, self._stride, workspace.stream)
            launcher.synchronise(workspace.stream)

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        padded = np.zeros((len(rows), self._stride), np.float32)
        padded[:, : self._d] = rows
        return padded

    def _add_gram(self, rows: int, to: int, sums: np.ndarray, workspace: Workspace) -> None:
        n_parts, n_tiles = sums.shape[:2]
        chunk = _chunk(self._stride)
        params = GramParams(rows=rows, sums=to, n=self._n, stride=self._stride, n_parts=n_parts, chunk=chunk)
        self._launcher.launch(
            "als_gram",
            params,
            blocks=n_parts,
            y=-(-n_tiles // _THREADS),
            shared=4 * chunk * self._stride,
            stream=workspace.stream,
        )
        self._launcher.read_into(to, sums, workspace.stream)
        self._launcher.synchronise(workspace.stream)
        side = self._stride // 4
        gram = np.zeros((side, 4, side, 4))
        i, j = np.tril_indices(side)
        gram[i, :, j, :] = sums.sum(axis=0)
        lower = np.tril(gram.reshape(self._stride, self._stride)[: self._d, : self._d])
        self.gram = lower + np.tril(lower, -1).T

    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, falling, and their vectors as rows."""
        if native is not None:
            return native.symmetric_eigen(self.gram, config.n_threads())
        values, vectors = np.linalg.eigh(self.gram)
        return values[::-1], vectors.T[::-1]

    def _rotate(self, rows: int, n: int, to_eigen: bool, out: int, out_stride: int, stream: int) -> None:
        """Rows of `stride` numbers into the eigenvectors or out of them, `out_stride` apart."""
        if n == 0:
            return
        chunk = _chunk(self._stride)
        params = RotateParams(
            rows=rows,
            matrix=self._vectors.address + (0 if to_eigen else self._d**2 * 8),
            out=out,
            n=n,
            d=self._d,
            stride=self._stride,
            out_stride=out_stride,
            chunk=chunk,
        )
        shared = 4 * chunk * self._stride
        self._launcher.launch("als_rotate", params, blocks=-(-n // chunk), shared=shared, stream=stream)

    def solve(
        self,
        weights: SparseRows,
        pulls: np.ndarray,
        l2: np.ndarray,
        start: np.ndarray | None,
        rates: AlsRates,
        out: np.ndarray,
    ) -> float:
        """As `Backend.als`."""
        n, launcher = weights.n_rows, self._launcher
        if n == 0:
            return 0.0
        start = None if rates.solver == "cholesky" else start
        uploads = {
            "curvature": self._curvature,
            "indptr": weights.indptr,
            "columns": weights.columns,
            "weights": weights.values,
            "pulls": pulls,
            "l2": l2,
            "order": np.argsort(-weights.lengths, kind="stable"),
        }
        if start is not None:
            uploads["start"] = self._padded(start)
        uploads = {name: np.ascontiguousarray(array) for name, array in uploads.items()}
        sizes = {name: array.nbytes for name, array in uploads.items()}
        sizes |= {"solutions": n * self._stride * 4, "losses": n * 8, "said": len(pulls) * 8}
        sizes |= {"failed": (1 + n) * 4, "out": n * self._d * 4}
        launches = self._launches(n, rates)
        sizes["matrices"] = max(matrices for _, _, matrices, _ in launches)
        losses = np.empty(n)
        with self._workspaces.own() as workspace:
            at, stream = workspace.lay_out(sizes), workspace.stream
            for name, array in uploads.items():
                launcher.write(at[name], array, stream)
            if start is not None:
                self._rotate(at["start"], n, True, at["solutions"], self._stride, stream)
            launcher.fill(at["failed"], 0, 4, stream)
            params = AlsParams(
                **{name: at[name] for name in uploads if name != "start"},
                **{name: at[name] for name in ("solutions", "losses", "said", "failed")},
                table=self._table.address,
                unobserved_weight=self._unobserved_weight,
                n_rows=n,
                d=self._d,
                stride=self._stride,
                started=start is not None,
                **self._sizes(rates),
            )
            for kernel, blocks, matrices, shared in launches:
                params.matrices = at["matrices"] if matrices else 0
                launcher.launch(kernel, params, blocks=blocks, shared=shared, stream=stream)
            self._rotate(at["solutions"], n, False, at["out"], self._d, stream)
            launcher.read_into(at["losses"], losses, stream)
            out[:] = launcher.read(at["out"], out.shape, np.float32, stream)
        return float(losses.sum())

    def _sizes(self, rates: AlsRates) -> dict[str, int]:
        """Fields of `AlsParams`."""
        block, steps = rates.block_size, rates.steps
        if rates.solver == "cholesky":
            block, steps = self._d, 1
        block = min(block, self._d)
        # A block that begins anywhere reaches into the four components before it and those behind.
        apart = 0 if block == self._d or block % 4 == 0 else 4
        width = self._stride if rates.solver == "cg" else min(_up(block, 4) + apart, self._stride)
        return {"block_size": block, "steps": steps, "width": width, "chunk": _chunk(width)}

    def _launches(self, n_rows: int, rates: AlsRates) -> list[tuple[str, int, int, int]]:
        """Kernels, with the blocks of each, and bytes of matrices in global memory and of shared memory."""
        sizes = self._sizes(rates)
        if rates.solver == "cg":
            return [("als_gradients", n_rows, 0, _gradients_bytes(self._stride, sizes["chunk"]))]
        found = []
        for kernel, number in (("als_rows", 4), ("als_rows_f64", 8)):
            matrix, beside = _room_bytes(self._stride, sizes["width"], sizes["chunk"], number)
            if matrix + beside <= self._launcher.properties["shared_per_block"]:
                found.append((kernel, n_rows, 0, matrix + beside))
            else:
                blocks = max(1, min(n_rows, _MATRIX_BYTES // matrix))
                found.append((kernel, blocks, blocks * matrix, beside))
        return found


def widest(launcher: Launcher) -> int:
    """The most factors for which a block has room beside its matrix."""
    most = int(launcher.properties["shared_per_block"])
    d = 4
    while _room_bytes(d + 4, d + 4, _chunk(d + 4), 8)[1] <= most:
        d += 4
    return d


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _chunk(width: int) -> int:
    return max(1, min(_MOST_STAGED, _STAGED // width))


def _room_bytes(stride: int, width: int, chunk: int, number: int) -> tuple[int, int]:
    """Bytes of the matrix of a block of `als_rows`, and of what else its shared memory holds."""
    side = width // 4
    pieces = [number * n for n in (4 * width, width, width, width, stride, chunk, chunk)]
    pieces += [4 * chunk * width, 8 * _WARPS, 4]
    return number * 8 * side * (side + 1), sum(_up(piece, 16) for piece in pieces)


def _gradients_bytes(stride: int, chunk: int) -> int:
    """Bytes of shared memory of a block of `als_gradients`."""
    pieces = [8 * stride] * 5 + [4 * chunk * stride, 8 * chunk, 8 * _WARPS]
    return sum(_up(piece, 16) for piece in pieces)
