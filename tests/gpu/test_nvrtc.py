"""Kernels compiled at run time: every source that is packaged, kept and found again, without a driver."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpurec.backends.cuda.ways import nvrtc
from gpurec.errors import DeviceError

KERNEL = """
#include "device/params.hpp"
#include "gpurec/order.hpp"
#include "simt/simt.hpp"
namespace gpurec::cuda {
GPUREC_KERNEL(prepare_queries, TableParams, 256) {
  if (simt::thread_index() == 0) p.permits[0] = order_key(p.norms[0], p.n);
}
}  // namespace gpurec::cuda
"""


@pytest.fixture(scope="module")
def compiler() -> nvrtc.Nvrtc:
    try:
        return nvrtc.find_nvrtc()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture
def few_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packaged headers, and one small kernel; `.ci/full cuda-compile` takes all there are."""
    folder = tmp_path / "sources"
    shutil.copytree(nvrtc.kernel_sources(), folder, ignore=shutil.ignore_patterns("emulator", "cpu"))
    for source in folder.glob("cuda/*.cu"):
        source.unlink()
    (folder / "cuda" / "tables.cu").write_text(KERNEL)
    monkeypatch.setattr(nvrtc, "kernel_sources", lambda: folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_sources_are_there() -> None:
    folder = nvrtc.kernel_sources()
    assert (folder / "simt" / "simt.hpp").is_file()
    assert (folder / "include" / "gpurec" / "bounds.hpp").is_file()
    assert len(list(folder.glob("cuda/*.cu"))) >= 5


def test_what_was_compiled_is_found_again(
    compiler: nvrtc.Nvrtc, few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = nvrtc.compiled(compiler, 90)
    assert code[:4] == b"\x7fELF" and b"prepare_queries" in code
    calls = []
    compile_source = nvrtc.Nvrtc.compile

    def counted(self: nvrtc.Nvrtc, *arguments: object) -> bytes:
        calls.append(arguments)
        return compile_source(self, *arguments)

    monkeypatch.setattr(nvrtc.Nvrtc, "compile", counted)
    assert nvrtc.compiled(compiler, 90) == [code] and not calls
    (kept,) = (few_sources.parent / "cache" / "gpurec" / "kernels").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])  # damaged: made again
    assert nvrtc.compiled(compiler, 90) == [code] and len(calls) == 1
    header = few_sources / "include" / "gpurec" / "order.hpp"
    header.write_text(header.read_text() + "// changed\n")
    assert nvrtc.compiled(compiler, 90) == [code] and len(calls) == 2


def test_an_architecture_that_is_not_known_gets_ptx_of_an_older_one(
    compiler: nvrtc.Nvrtc, few_sources: Path
) -> None:
    (code,) = nvrtc.compiled(compiler, 999)
    assert code.lstrip().startswith(b"//") and b".entry prepare_queries" in code
    with pytest.raises(DeviceError, match="or newer, got 20"):
        nvrtc.compiled(compiler, 20)


def test_a_folder_that_cannot_be_written_does_no_harm(
    compiler: nvrtc.Nvrtc, few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (few_sources.parent / "cache").write_text("a file, not a folder")
    assert len(nvrtc.compiled(compiler, 90)) == 1


def test_an_error_of_the_compiler_is_said(compiler: nvrtc.Nvrtc, few_sources: Path) -> None:
    (few_sources / "cuda" / "tables.cu").write_text("int broken(")
    with pytest.raises(DeviceError, match=r"(?s)tables does not compile:.*error"):
        nvrtc.compiled(compiler, 90)


def test_without_nvrtc_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "_places", lambda major: iter(["nowhere/libnvrtc.so"]))
    with pytest.raises(DeviceError, match=r"pip install 'gpurec\[cuda12\]'"):
        nvrtc.find_nvrtc()
