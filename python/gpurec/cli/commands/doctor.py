"""`gpurec doctor`: what gpurec finds here, what it lacks and why, and whether its answers are right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ..output import say_json, show_table

__all__ = ["doctor"]


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Show what gpurec finds here and test its searches; exit code 1 if a test fails."""
    from ..diagnosis import diagnose

    found = diagnose()
    if json:
        say_json(found)
    else:
        show_table(["what", "found"], _lines(found))
    if not found["self_test"]["passed"]:
        raise typer.Exit(1)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("gpurec", "python", "numpy", "platform"):
        yield name, found[name]
    for name, reason in found["backends"].items():
        chosen = " (chosen)" if name == found["backend"] else ""
        yield f"backend {name}", f"works{chosen}" if reason is None else f"missing: {reason}"
    if found["backend"] not in found["backends"]:
        yield "backend chosen", str(found["backend"])
    for name, reason in found["isas"].items():
        chosen = " (chosen)" if name == found["isa"] else ""
        yield f"isa {name}", f"works{chosen}" if reason is None else f"missing: {reason}"
    if found["threads"] is not None:
        yield "threads", str(found["threads"])
    if found["device"] is not None:
        yield from _device_lines(found["device"])
    for name, value in found["environment"].items():
        yield name, value
    for extra, packages in found["extras"].items():
        missing = [package for package, version in packages.items() if version is None]
        have = ", ".join(f"{package} {version}" for package, version in packages.items() if version)
        do = f"missing: {', '.join(missing)}; do: pip install 'gpurec[{extra}]'"
        yield f"extra {extra}", do if missing else have
    yield "blas of numpy", found["blas"]["numpy"]
    yield "blas of scipy", found["blas"]["scipy"]
    for library in found["blas"]["loaded"] or ():
        yield "blas loaded", library
    test = found["self_test"]
    for name, wrong in test["searches"].items():
        yield f"self-test {name}", wrong or "equals the reference bit for bit"
    yield "self-test", f"{'passed' if test['passed'] else 'FAILED'} in {test['seconds']:.2f} s"


def _device_lines(device: dict[str, Any]) -> Iterator[tuple[str, str]]:
    about = f"compute capability {device['compute_capability']}, {device['memory'] >> 20} MB"
    yield "device", f"{device['name']}, {about}"
    details = ", ".join(f"{name} {value}" for name, value in device["details"].items())
    yield "way to the device", f"{device['way']} ({details})"
    for way, reason in device["why_not"].items():
        yield f"not {way}", reason
