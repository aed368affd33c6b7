"""What `gpurec doctor` finds out about this machine and installation; nothing here prints."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np

from .. import backends
from ..backends import cpu
from ..errors import BackendUnavailableError
from ..index import ItemIndex
from ..ops import score_top_k
from ..types import TopK

__all__ = ["diagnose", "self_test"]


def diagnose() -> dict[str, Any]:
    """Everything that decides how gpurec runs here, ready for JSON.

    Returns
    -------
    dict
        versions, backends, isas, threads, device, environment, extras, blas, self_test.

    Examples
    --------
    >>> diagnose()["self_test"]["passed"]
    True
    """
    from .. import __version__

    return {
        "gpurec": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": np.__version__,
        **_backends(),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith("GPUREC_")
        },
        "extras": _extras(),
        "blas": _blas(),
        "self_test": self_test(),
    }


def _backends() -> dict[str, Any]:
    reasons = dict(backends.available())
    for module, reason in cpu.missing.items():
        reasons.setdefault(module.lstrip("_"), reason)
    found: dict[str, Any] = {"backends": reasons, "backend": None, "isas": {}, "isa": None, "threads": None}
    try:
        found["backend"] = backends.select().name
    except BackendUnavailableError as error:  # GPUREC_BACKEND asks for one that is missing
        found["backend"] = str(error)
    if cpu.native is not None:
        found["isas"] = {
            name: None if supported else "this processor lacks it" for name, supported in cpu.native.isas()
        }
    if reasons["cpu"] is None:
        chosen = cpu.CpuBackend()
        found |= {"isa": chosen.isa, "threads": chosen.n_threads}
    found["device"] = _device() if reasons["cuda"] is None else None
    return found


def _device() -> dict[str, Any]:
    """The way to the device that backend `cuda` takes, and why it takes no better one."""
    launcher = backends.get("cuda").launcher  # type: ignore[attr-defined]
    about = launcher.properties
    return {
        "name": about["name"],
        "compute_capability": ".".join(map(str, about["compute_capability"])),
        "memory": about["total_memory"],
        "way": launcher.runtime.way,
        "details": launcher.runtime.details,
        "why_not": launcher.runtime.why_not,
    }


def _extras() -> dict[str, dict[str, str | None]]:
    """Version of each package of each extra, None where it is not installed."""
    try:
        lines = importlib.metadata.requires("gpurec") or []
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        return {}
    needs: dict[str, list[str]] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"""extra\s*==\s*["']([^"']+)""", marker)
        if extra:
            needs.setdefault(extra[1], []).append(requirement)
    return {extra: {name: _version(name) for name in _packages(extra, needs)} for extra in needs}


def _packages(extra: str, needs: dict[str, list[str]]) -> list[str]:
    """Names of an extra's packages, with those of the extras that it consists of."""
    names: list[str] = []
    for requirement in needs.get(extra, []):
        inner = re.match(r"gpurec\[([^]]*)\]", requirement)
        if inner:
            for other in inner[1].split(","):
                names += _packages(other.strip(), needs)
        else:
            names += re.findall(r"^[\w.-]+", requirement)
    return list(dict.fromkeys(names))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> dict[str, Any]:
    """The BLAS that numpy and scipy were built with and, where threadpoolctl is there, what is loaded now."""
    import scipy

    found: dict[str, Any] = {}
    for package in (np, scipy):
        built = package.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        found[package.__name__] = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    found["loaded"] = None
    if importlib.util.find_spec("threadpoolctl") is not None:
        pools = importlib.import_module("threadpoolctl").threadpool_info()
        found["loaded"] = [
            f"{pool['internal_api']} {pool.get('version') or ''} with {pool['num_threads']} threads"
            for pool in pools
            if pool.get("user_api") == "blas"
        ]
    return found


def self_test() -> dict[str, Any]:
    """Search on every backend and ISA that runs here, with and without an index, against the reference.

    Answers must be equal bit for bit.

    Returns
    -------
    dict
        passed, seconds, and for each search what ran it and None or what was wrong.
    """
    start = perf_counter()
    cases = list(_cases())
    expected = [score_top_k(*case, **more, backend="reference") for case, more in cases]
    found: dict[str, str | None] = {}
    for name, backend in _searchers():
        found[name] = None
        for (case, more), answer in zip(cases, expected):
            queries, items, k = case
            try:
                index = ItemIndex(items, metric=more["metric"], backend=backend)
                wrong = _difference(index.search(queries, k, exclude=more["exclude"]), answer)
                wrong = wrong or _difference(score_top_k(*case, **more, backend=backend), answer)
            except Exception as error:  # whatever a broken build does, the others are still to be tried
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                found[name] = f"metric {more['metric']}: {wrong}"
                break
    return {
        "passed": not any(found.values()),
        "seconds": perf_counter() - start,
        "searches": found,
    }


def _searchers() -> Iterator[tuple[str, Any]]:
    for name, reason in backends.available().items():
        if reason is None and name == "cpu":
            for isa in cpu.available_isas():
                yield f"cpu {isa}", cpu.CpuBackend(isa=isa)
        elif reason is None and name not in ("reference", "cuda_emulated"):
            yield name, name


def _cases() -> Iterator[tuple[tuple[np.ndarray, np.ndarray, int], dict[str, Any]]]:
    """Small searches that a scan gets wrong easily: equal scores by dozens, scales far apart, exclusions."""
    draw = np.random.default_rng(0)
    whole = draw.integers(-2, 3, size=(700, 33))
    scaled = draw.standard_normal((700, 33)) * 10.0 ** draw.uniform(-6, 6, size=(700, 1))
    items = np.concatenate([whole, scaled]).astype(np.float32)
    queries = np.concatenate([whole[:4], scaled[:4]]).astype(np.float32)
    exclude = [draw.integers(0, len(items), size=50) for _ in queries]
    for metric in backends.METRICS:
        yield (queries, items, 20), {"metric": metric, "exclude": exclude}


def _difference(found: TopK, expected: TopK) -> str | None:
    same = (found.rows == expected.rows) & (found.scores.view(np.uint32) == expected.scores.view(np.uint32))
    if same.all():
        return None
    query, place = np.argwhere(~same)[0]
    return (
        f"expected row {expected.rows[query, place]} with score {expected.scores[query, place]} as place "
        f"{place} of query {query}, got row {found.rows[query, place]} with {found.scores[query, place]}"
    )
