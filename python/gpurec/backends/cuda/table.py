"""Items on a device: storage that only grows, and versions of an index that share it.

A position, once written, never changes: a changed item gets a new position, and its old one has no row in the
versions from then on. So searches that run meanwhile keep what they began with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .launches import Launcher
from .memory import Buffer, layout
from .params import (
    CODE_COMPONENTS,
    METRIC_NUMBERS,
    NO_ROW,
    QUANTISE_BYTES,
    ROW_COMPONENTS,
    TILE_ITEMS,
    Items,
    TableParams,
)

__all__ = ["Storage", "Table", "empty_table", "table_bytes"]

_LEAST_ROOM = 16  # tiles that an index has to grow into once it has grown
_BYTES_AT_ONCE = 64 << 20  # of items on their way to the device


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _tiles(n: int) -> int:
    return -(-n // TILE_ITEMS)


def table_bytes(n_items: int, n_rows: int, d: int, with_codes: bool, originals: str) -> tuple[int, int]:
    """What a table takes on the device and in pinned host memory.

    Examples
    --------
    >>> table_bytes(1_000_000, 1_000_000, 128, True, "host")[1]
    512000000
    """
    n = _tiles(n_items) * TILE_ITEMS
    rows = n * _round_up(d, ROW_COMPONENTS) * 4
    codes = n * _round_up(d, CODE_COMPONENTS) if with_codes else 0
    beside = n * 4 + n // TILE_ITEMS * 16 + n * 4 + n_rows * 4 + n // TILE_ITEMS * 8
    return (codes + beside, rows) if originals == "host" else (rows + codes + beside, 0)


class Storage:
    """Room for tiles of items, of which the first `n_used` are written."""

    def __init__(self, launcher: Launcher, d: int, capacity: int, with_codes: bool, originals: str) -> None:
        self.launcher, self.d, self.capacity = launcher, d, capacity
        self.with_codes, self.originals = with_codes, originals
        self.row_stride, self.code_stride = _round_up(d, ROW_COMPONENTS), _round_up(d, CODE_COMPONENTS)
        self.n_used = 0
        self.lock = threading.Lock()
        n = max(capacity, 1) * TILE_ITEMS
        launcher.memory.require(table_bytes(n, n, d, with_codes, originals)[0], f"{n} items")
        sizes = {
            "rows": n * self.row_stride * 4,
            "codes": n * self.code_stride if with_codes else 0,
            "norms": n * 4,
            **dict.fromkeys(("scales", "errors", "smallest", "largest"), n // TILE_ITEMS * 4),
        }
        self._pinned: Buffer | None = None
        if originals == "host":
            self._pinned = launcher.memory.take(sizes.pop("rows"), "rows of items", pinned=True)
        offsets, total = layout(sizes)
        self._buffer = launcher.memory.take(total, "items")
        self.at = {name: self._buffer.address + offset for name, offset in offsets.items()}
        if self._pinned is not None:
            self.at["rows"] = self._pinned.address
        if not with_codes:
            self.at["codes"] = 0

    @property
    def n_bytes(self) -> int:
        """Of the device and of the host."""
        return self._buffer.n_bytes + (0 if self._pinned is None else self._pinned.n_bytes)

    def params(self, first_tile: int, n_tiles: int) -> TableParams:
        """What kernels are told of some tiles, as if they were all."""
        item, strides = first_tile * TILE_ITEMS, (self.row_stride * 4, self.code_stride)
        at = self.at
        return TableParams(
            rows=at["rows"] + item * strides[0],
            codes=at["codes"] + item * strides[1] if self.with_codes else 0,
            norms=at["norms"] + item * 4,
            **{name: at[name] + first_tile * 4 for name in ("scales", "errors", "smallest", "largest")},
            n_tiles=n_tiles,
            d=self.d,
            row_stride=self.row_stride,
            code_stride=self.code_stride,
        )


@dataclass(frozen=True)
class Table:
    """One version: which public row lies where, and which may be returned.

    Attributes
    ----------
    storage : Storage
    n_tiles : int
        Tiles that a search looks at.
    row_of : uint32 array, shape (n_tiles * 64,)
    position_of : uint32 array, shape (n_rows,)
        Both as the device has them; `NO_ROW` where there is none.
    buffers : tuple of Buffer
        `row_of`, `position_of` and the words of permits on the device.
    euclidean : bool
    """

    storage: Storage
    n_tiles: int
    row_of: np.ndarray
    position_of: np.ndarray
    buffers: tuple[Buffer, Buffer, Buffer]
    euclidean: bool

    @property
    def n_rows(self) -> int:
        """Public rows."""
        return len(self.position_of)

    @property
    def n_active(self) -> int:
        """Items."""
        return int(np.count_nonzero(self.position_of != NO_ROW))

    @property
    def n_bytes(self) -> int:
        """Memory held, shared with other versions or not."""
        return self.storage.n_bytes + sum(buffer.n_bytes for buffer in self.buffers)

    def items(self) -> Items:
        """What kernels are told."""
        storage = self.storage
        row_of, position_of, permits = (buffer.address for buffer in self.buffers)
        return Items(
            **storage.at,
            row_of=row_of,
            position_of=position_of,
            permits=permits,
            n_tiles=self.n_tiles,
            n_rows=self.n_rows,
            d=storage.d,
            row_stride=storage.row_stride,
            code_stride=storage.code_stride,
            euclidean=self.euclidean,
        )

    def with_items(self, items: np.ndarray, rows: np.ndarray, n_rows: int, metric: str) -> Table:
        """A version of `n_rows` public rows in which row rows[i] has the raw item i."""
        table = self._with_room(_tiles(len(rows)))
        storage = table.storage
        with storage.lock:
            first = storage.n_used
            storage.n_used += _tiles(len(rows))
        order = _by_norm(items, metric)
        _write_items(storage, first, items, order, metric)
        n_tiles = first + _tiles(len(rows)) if len(rows) else table.n_tiles
        row_of = np.full(n_tiles * TILE_ITEMS, NO_ROW, np.uint32)
        row_of[: len(table.row_of)] = table.row_of
        position_of = np.full(n_rows, NO_ROW, np.uint32)
        position_of[: table.n_rows] = table.position_of
        positions = first * TILE_ITEMS + np.arange(len(rows))
        old = position_of[rows]
        row_of[old[old != NO_ROW]] = NO_ROW
        row_of[positions] = rows[order]
        position_of[rows[order]] = positions
        return table._version(n_tiles, row_of, position_of)

    def without(self, rows: np.ndarray) -> Table:
        """A version in which these public rows have no items."""
        row_of, position_of = self.row_of.copy(), self.position_of.copy()
        old = position_of[rows]
        row_of[old[old != NO_ROW]] = NO_ROW
        position_of[rows] = NO_ROW
        return self._version(self.n_tiles, row_of, position_of)

    def compacted(self, room: int = 0) -> Table:
        """The same items in storage of their own, by norm, with room for more tiles."""
        live = np.flatnonzero(self.position_of != NO_ROW)
        n_tiles = _tiles(len(live))
        old = self.storage
        storage = Storage(old.launcher, old.d, n_tiles + room, old.with_codes, old.originals)
        storage.n_used = n_tiles
        row_of = np.full(n_tiles * TILE_ITEMS, NO_ROW, np.uint32)
        position_of = np.full(self.n_rows, NO_ROW, np.uint32)
        if len(live):
            positions = self.position_of[live]
            norms = old.launcher.read(old.at["norms"], (self.n_tiles * TILE_ITEMS,), np.float32)[positions]
            order = np.argsort(-norms, kind="stable")
            row_of[: len(live)] = live[order]
            position_of[live[order]] = np.arange(len(live))
            sources = np.full(n_tiles * TILE_ITEMS, NO_ROW, np.uint32)
            sources[: len(live)] = positions[order]
            params = storage.params(0, n_tiles)
            _gather(old, sources, params, self.n_tiles * TILE_ITEMS)
            _finish_tiles(storage, params, row_of)
        return replace(self, storage=storage)._version(n_tiles, row_of, position_of)

    def items_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared items of public rows, and whether each row has one."""
        storage, launcher = self.storage, self.storage.launcher
        positions = self.position_of[rows]
        found = positions != NO_ROW
        if not found.any():
            return np.zeros((len(rows), storage.d), np.float32), found
        n_tiles = _tiles(len(rows))
        n = n_tiles * TILE_ITEMS
        scratch = launcher.memory.take(n * (storage.row_stride + 1) * 4, "items that are asked for")
        params = storage.params(0, n_tiles)
        params.rows, params.norms = scratch.address, scratch.address + n * storage.row_stride * 4
        sources = np.full(n, NO_ROW, np.uint32)
        sources[: len(rows)] = positions
        _gather(storage, sources, params, self.n_tiles * TILE_ITEMS)
        items = launcher.read(scratch.address, (n, storage.row_stride), np.float32)
        return np.ascontiguousarray(items[: len(rows), : storage.d]), found

    def _with_room(self, n_tiles: int) -> Table:
        """The same items in storage that has room for so many more tiles."""
        storage = self.storage
        if storage.n_used + n_tiles <= storage.capacity:
            return self
        live = _tiles(self.n_active)
        return self.compacted(room=n_tiles + (max(live // 2, _LEAST_ROOM) if live else 0))

    def _version(self, n_tiles: int, row_of: np.ndarray, position_of: np.ndarray) -> Table:
        launcher = self.storage.launcher
        parts = (row_of, position_of, _permit_words(row_of))
        same = n_tiles == self.n_tiles and len(position_of) == self.n_rows
        old = (self.row_of, self.position_of, _permit_words(self.row_of)) if same else (None,) * 3
        one, two, three = map(launcher.changed, self.buffers, old, parts)
        launcher.synchronise()
        buffers = (one, two, three)
        return replace(self, n_tiles=n_tiles, row_of=row_of, position_of=position_of, buffers=buffers)


def empty_table(
    launcher: Launcher, d: int, metric: str, with_codes: bool, originals: str, n_items: int
) -> Table:
    """A table without items, with room for so many; DeviceError at once where they do not fit."""
    storage = Storage(launcher, d, _tiles(n_items), with_codes, originals)
    nothing = np.empty(0, np.uint32)
    one, two, three = (launcher.memory.take(8, "an empty table") for _ in range(3))
    return Table(storage, 0, nothing, nothing, (one, two, three), metric == "euclidean")


def _by_norm(items: np.ndarray, metric: str) -> np.ndarray:
    """An order of items by falling norm, about: it makes tiles alike and changes no answer."""
    if metric in ("cosine", "pearson"):  # of length one
        return np.arange(len(items))
    with np.errstate(over="ignore"):
        return np.argsort(-np.einsum("ij,ij->i", items, items), kind="stable")


def _write_items(
    storage: Storage, first_tile: int, items: np.ndarray, order: np.ndarray, metric: str
) -> None:
    """Raw items, prepared, in tiles from `first_tile` on: items[order[i]] at place i."""
    launcher, d = storage.launcher, storage.d
    for tiles in _pieces(_tiles(len(items)), storage.row_stride * 4 * TILE_ITEMS):
        chosen = order[tiles.start * TILE_ITEMS : tiles.stop * TILE_ITEMS]
        n_tiles = tiles.stop - tiles.start
        padded = np.zeros((n_tiles * TILE_ITEMS, storage.row_stride), np.float32)
        padded[: len(chosen), :d] = items[chosen]
        params = storage.params(first_tile + tiles.start, n_tiles)
        offsets, total = layout(
            {"source": padded.nbytes, "squares": len(padded) * 8, "status": len(padded) * 4}
        )
        scratch = launcher.memory.take(total, "items on their way")
        launcher.write(scratch.address, padded)
        params.source, params.source_stride = scratch.address, storage.row_stride
        params.n, params.metric = len(chosen), METRIC_NUMBERS[metric]
        params.squares, params.status = (scratch.address + offsets[name] for name in ("squares", "status"))
        launcher.launch("prepare_items", params)
        params.source = params.rows
        launcher.launch("gather_rows", params)  # each to its own place: norms, and zeros past the last
        row_of = np.full(padded.shape[0], NO_ROW, np.uint32)
        row_of[: len(chosen)] = 0  # which one does not matter to a tile
        _finish_tiles(storage, params, row_of)


def _gather(old: Storage, sources: np.ndarray, params: TableParams, n: int) -> None:
    """Prepared rows of `old` at the positions `sources` to where `params` says."""
    launcher = old.launcher
    where = launcher.memory.take(sources.nbytes, "positions of items")
    launcher.write(where.address, sources)
    params.source, params.source_stride, params.n = old.at["rows"], old.row_stride, n
    params.source_rows, params.squares, params.row_of = where.address, 0, 0
    launcher.launch("gather_rows", params)
    launcher.synchronise()


def _finish_tiles(storage: Storage, params: TableParams, row_of: np.ndarray) -> None:
    """What tiles have besides rows and norms; waits, so that what was borrowed may go."""
    launcher = storage.launcher
    rows = launcher.memory.take(row_of.nbytes, "rows of items")
    launcher.write(rows.address, row_of)
    params.row_of = rows.address
    launcher.launch("tile_norms", params)
    if storage.with_codes:
        launcher.launch("quantise_tiles", params, shared=QUANTISE_BYTES)
    launcher.synchronise()


def _pieces(n_tiles: int, bytes_of_tile: int) -> Iterator[slice]:
    step = max(1, _BYTES_AT_ONCE // bytes_of_tile)
    return (slice(first, min(first + step, n_tiles)) for first in range(0, n_tiles, step))


def _permit_words(row_of: np.ndarray) -> np.ndarray:
    """A word a tile: bit j where item j may be returned."""
    return np.packbits(row_of != NO_ROW, bitorder="little").view(np.uint64)
