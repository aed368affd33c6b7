"""With numpy, scipy and safetensors alone gpurec works; an error names the extra for the rest."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Stands at the start of every program below: no package is found but the standard library and the base.
BASE_ONLY = """
import sys

class Refuse:
    allowed = sys.stdlib_module_names | {"gpurec", "numpy", "scipy", "safetensors"}

    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package not in self.allowed and not package.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
import numpy as np
import gpurec
"""


def run(program: str, folder: Path, *, prelude: str = BASE_ONLY) -> str:
    code = prelude + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search(tmp_path: Path) -> None:
    output = run(
        """
        items = np.eye(3, dtype=np.float32)
        print(gpurec.score_top_k(items[:1], items, 2).rows.tolist())
        """,
        tmp_path,
    )
    assert output == "[[0, 1]]\n"


def test_an_index_is_saved_and_loaded(tmp_path: Path) -> None:
    output = run(
        """
        items = np.eye(3, dtype=np.float32)
        gpurec.ItemIndex(items, ids=["a", "b", "c"]).save("index")
        print(gpurec.ItemIndex.load("index").search(items[1:2], 1).ids.tolist())
        """,
        tmp_path,
    )
    assert output == "[['b']]\n"


def test_models_fit_and_recommend(tmp_path: Path) -> None:
    output = run(
        """
        part = gpurec.Interactions.from_arrays(["u", "u", "v"], ["a", "b", "b"], [5.0, 3.0, 4.0])
        for model in (gpurec.Popularity(), gpurec.MF(n_factors=2, random_state=0), gpurec.ContentBased()):
            print([row["item_id"] for row in model.fit(part).recommend(["v"], k=5).to_dicts()])
        """,
        tmp_path,
    )
    assert output == "['a']\n['a']\n['a']\n"


def test_code_of_implicit_runs(tmp_path: Path) -> None:
    output = run(
        """
        from scipy.sparse import csr_matrix
        from gpurec.compat import implicit
        from gpurec.compat.rectools import Ranker
        plays = csr_matrix([[1, 1, 0], [1, 1, 1]])
        model = implicit.als.AlternatingLeastSquares(factors=2, random_state=0)
        model.fit(plays)
        print(model.recommend(0, plays[0])[0].tolist())
        print(Ranker("dot", model.user_factors, model.item_factors).rank([0], k=1)[0].tolist())
        """,
        tmp_path,
    )
    assert output == "[2]\n[0]\n"


FEATURES = {
    "a parquet file": ("gpurec.Interactions.from_file('ratings.parquet')", "data"),
    "a table": ("recommended.to_polars()", "data"),
    "features of words": (
        "from gpurec.features import FeatureTable as T; t = T(['a'], {'w': ['x y z']});"
        "gpurec.ContentBased().fit(part, item_features=t)",
        "features",
    ),
    "a model of RecTools": ("from gpurec.compat.rectools import GpurecModel", "rectools"),
    "the demonstration data": ("import gpurec.data; gpurec.data.load_movielens()", "demo"),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_missing_extra_is_named(feature: str, tmp_path: Path) -> None:
    statement, extra = FEATURES[feature]
    (tmp_path / "ratings.parquet").write_bytes(b"PAR1")
    output = run(
        f"""
        part = gpurec.Interactions.from_arrays(["u", "u", "v"], ["a", "b", "b"], [5.0, 3.0, 4.0])
        recommended = gpurec.Popularity().fit(part).recommend(["v"], k=1)
        try:
            {statement}
        except gpurec.MissingExtraError as error:
            print(error)
        """,
        tmp_path,
    )
    assert f"pip install 'gpurec[{extra}]'" in output


def test_the_script_says_which_extra_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BASE_ONLY + "from gpurec.cli import main\nmain()"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "pip install 'gpurec[cli]'" in done.stderr


def test_the_import_is_light(tmp_path: Path) -> None:
    heavy = ["polars", "pandas", "pyarrow", "torch", "cupy", "scipy.sparse", "scipy.stats", "scipy.linalg"]
    heavy += ["matplotlib", "rich", "typer", "hypothesis", "pytest"]
    output = run(
        f"import sys, gpurec\nprint([name for name in {heavy} if name in sys.modules])\n",
        tmp_path,
        prelude="",
    )
    assert output == "[]\n"
