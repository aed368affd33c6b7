"""Features: each kind of column, tables, selection, and encoders that learn from the training part alone."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurec.artifacts import read_artifact, write_artifact
from gpurec.errors import ArtifactError, NotFittedError
from gpurec.features import (
    Categorical,
    Column,
    ColumnState,
    Cross,
    Dates,
    Dense,
    FeatureEncoder,
    FeatureTable,
    MultiLabel,
    Numeric,
    Selection,
    Text,
    inferred,
)

pytest.importorskip("sklearn", reason="needs the extra 'features'")


def objects(values: list) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def dense(matrix) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def encoded(column: Column, train: list, values: list | None = None) -> list:
    return dense(column.fit(objects(train)).transform(objects(train if values is None else values))).tolist()


# Kinds of columns.


def test_numbers_are_scaled_by_the_training_part():
    assert encoded(Numeric(), [1, 3, None], [5, None, "3"]) == [[3.0], [0.0], [1.0]]
    assert encoded(Numeric("robust"), [0.0, 1, 2, 3, 100], [2, 4]) == [[0.0], [1.0]]
    assert encoded(Numeric("none"), [7, ""], [7, ""]) == [[7.0], [0.0]]
    assert encoded(Numeric(), [4, 4], [4, 6]) == [[0.0], [2.0]], "without spread the unit is 1"
    assert encoded(Numeric(), [None], [None, 2]) == [[0.0], [2.0]]


def test_numbers_between_knots_have_two_neighbours():
    column = Numeric(n_knots=3).fit(np.array([0.0, 10.0, 40.0]))
    assert column.names() == ["~0", "~10", "~40"]
    found = column.transform(np.array([-5.0, 0, 2.5, 10, 25, 99, np.nan])).toarray()
    want = [[1, 0, 0], [1, 0, 0], [0.75, 0.25, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]]
    assert found.tolist() == want


def test_dates_of_any_form_are_one_day():
    seconds = 1577836800  # 2020-01-01
    forms = [
        "2020-01-01",
        datetime.date(2020, 1, 1),
        datetime.datetime(2020, 1, 1),
        seconds,
        "2020-01-01T00:00Z",
    ]
    rows = encoded(Dates(), forms)
    assert rows == [rows[0]] * 5
    assert dense(
        Dates().fit(objects(forms)).transform(np.array(["2020-01-01"], "datetime64[D]"))
    ).tolist() == [rows[0]]
    week = dense(
        Dates(["weekday"]).fit(objects(forms)).transform(objects(["2020-01-01", "2020-01-08", None]))
    )
    np.testing.assert_allclose(week[0], week[1], atol=1e-6)
    assert week[2].tolist() == [0, 0]
    knots = Dates(["time"], n_knots=2).fit(objects(["2020-01-01", "2020-01-03"]))
    assert dense(knots.transform(objects(["2020-01-02", None]))).tolist() == [[0.5, 0.5], [0, 0]]
    assert knots.names()[0] == "time~2020-01-01T00:00:00"
    with pytest.raises(ValueError, match=r"\[dates\] expected a date, got 'soon' in row 0"):
        encoded(Dates(), ["soon"])


def test_vectors_keep_their_components():
    column = Dense().fit(np.array([[1.0, 2.0], [3.0, np.nan]]))
    assert column.transform(objects([[1, 2], None])).tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert column.transform(objects([None, None])).tolist() == [[0.0, 0.0]] * 2
    scaled = Dense("standard").fit(np.array([[0.0, 5.0], [2.0, 5.0]]))
    assert scaled.transform(np.array([[2.0, 6.0]])).tolist() == [[1.0, 1.0]]
    for bad in (np.ones((1, 3)), objects([[1, 2], [1]])):
        with pytest.raises(ValueError, match=r"\[dense\] expected vectors of"):
            column.transform(bad)
    with pytest.raises(ValueError, match="infinity in row 1"):
        Dense().fit(np.array([[1.0], [np.inf]]))


def test_categories_are_what_the_training_part_has():
    column = Categorical().fit(objects(["b", "a", 1, 1.0, "1", None]))
    assert column.names() == ["1", "a", "b"], "1, 1.0 and '1' are one"
    assert dense(column.transform(objects(["a", "new", None]))).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert Categorical(min_count=2).fit(objects(["b", "a", "b"])).names() == ["b"]
    assert Categorical(max_terms=2).fit(objects(["c", "b", "a", "c"])).names() == ["a", "c"], "ties: alphabet"
    assert dense(Categorical().fit(objects([None])).transform(objects(["a"]))).shape == (1, 0)


def test_labels_come_as_texts_or_lists():
    rows = encoded(MultiLabel(idf=False), ["war|drama", ["drama", "drama"], {"war"}, "", None])
    assert rows == [[1, 1], [1, 0], [0, 1], [0, 0], [0, 0]]
    assert encoded(MultiLabel(sep=";", idf=False), ["a; b", "a|b"])[0] == [1, 0, 1]


def test_rare_terms_weigh_more():
    column = MultiLabel().fit(objects(["a", "a", "a|b"]))
    # ln((1 + n) / (1 + n_t)) + 1
    np.testing.assert_allclose(column.state().numbers, [1.0, np.log(4 / 2) + 1])
    np.testing.assert_allclose(dense(column.transform(objects(["b"])))[0], [0, np.log(2) + 1], rtol=1e-6)


def test_texts_are_words_without_accents_and_stop_words():
    column = Text(idf=False).fit(objects(["The Café, the café!", "a blue café"]))
    assert column.names() == ["blue", "cafe"]
    np.testing.assert_allclose(dense(column.transform(objects(["cafe cafe BLUE"])))[0], [1, 1 + np.log(2)])
    assert Text(ngrams=2, idf=False).fit(objects(["blue whale"])).names() == ["blue", "blue whale", "whale"]
    assert "the" in Text(stop_words=None).fit(objects(["the whale"])).names()


def test_hashed_terms_need_no_vocabulary():
    column = MultiLabel(n_hashed=64, idf=False).fit(objects(["a"]))
    found = dense(column.transform(objects(["a", "b", "a|b"])))
    assert found.shape == (3, 64)
    assert (found.sum(axis=1) == [1, 1, 2]).all() and (found[0] + found[1] == found[2]).all()
    assert column.state().terms == [] and len(column.names()) == 64


def test_pairs_are_of_two_columns():
    schema = {
        "job": Categorical(),
        "genre": MultiLabel(),
        "both": Cross("job", "genre"),
        "only": Cross("age", "job"),
    }
    table = FeatureTable([1, 2], {"job": ["cook", None], "genre": ["a|b", "a"], "age": [30, 40]}, schema)
    encoder = FeatureEncoder(schema).fit(table)
    assert encoder.names_of(["both", "only"]) == ["both=cook & a", "both=cook & b", "only=30 & cook"]
    assert dense(encoder.transform(table, ["both"])).tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Numeric("log"),
        lambda: Numeric(n_knots=1),
        lambda: Dates(["hour"]),
        lambda: Dates([]),
        lambda: Dense("log"),
        lambda: Categorical(min_count=0),
        lambda: Categorical(n_hashed=1 << 21),
        lambda: Categorical(max_terms=2.5),
        lambda: MultiLabel(sep=""),
        lambda: MultiLabel(idf="yes"),
        lambda: Text(ngrams=6),
        lambda: Text(stop_words="german"),
        lambda: Cross("a", "a"),
        lambda: Selection("anova", 3),
        lambda: Selection("chi2", 0),
        lambda: FeatureEncoder({}),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


# Leakage.

KINDS = [
    (Numeric(), [1.0, 2.0, 4.0], [100.0, 3.0]),
    (Numeric("robust"), [1.0, 2.0, 4.0], [100.0, 3.0]),
    (Numeric(n_knots=3), [1.0, 2.0, 4.0], [100.0, 3.0]),
    (Dates(), ["2020-01-01", "2021-02-03"], ["2030-01-01", "2020-07-07"]),
    (Dense("standard"), [[1.0, 2.0], [2.0, 5.0]], [[50.0, 1.0], [3.0, 3.0]]),
    (Categorical(idf=True), ["a", "b", "b"], ["leak", "b"]),
    (MultiLabel(), ["a|b", "b"], ["leak|b", "b"]),
    (MultiLabel(n_hashed=16), ["a|b", "b"], ["leak|b", "b"]),
    (Text(), ["blue whale", "blue sea"], ["leaking pipe whale", "whale"]),
]


@pytest.mark.parametrize(("column", "train", "test"), KINDS, ids=lambda value: getattr(value, "kind", ""))
def test_what_only_the_test_part_holds_changes_nothing(column, train, test):
    """Fitting on all data gives other statistics, so that using them would show."""

    def statistics(values):
        state = column.fit(objects(values)).state()
        return state.terms, state.numbers.tolist()

    fitted = column.fit(objects(train))
    before = statistics(train)
    rows = dense(fitted.transform(objects(train)))
    fitted.transform(objects(test))
    assert (fitted.state().terms, fitted.state().numbers.tolist()) == before
    np.testing.assert_array_equal(dense(fitted.transform(objects(train))), rows)
    assert statistics(train + test) != before
    assert column._state is None, "the schema's own column stays unfitted"


# Selection.


def test_selection_keeps_what_tells_classes_apart():
    schema = {"tags": MultiLabel(idf=False)}
    table = FeatureTable(
        range(8), {"tags": ["all|x", "all|x", "all|x", "all|x|n", "all", "all|n", "all", "all"]}, schema
    )
    target = [1, 1, 1, 1, 0, 0, 0, 0]
    for by in ("chi2", "mutual_information"):
        encoder = FeatureEncoder(schema, selection=Selection(by, 1)).fit(table, target)
        assert encoder.names == ["tags=x"]
        assert encoder.transform(table).shape == (8, 1)
    assert FeatureEncoder(schema, selection=Selection("variance", 2)).fit(table).names == ["tags=n", "tags=x"]
    with pytest.raises(ValueError, match=r"\[selection\] expected a target"):
        FeatureEncoder(schema, selection=Selection("chi2", 1)).fit(table)
    negative = FeatureTable([1, 2], {"n": [-1.0, 1.0]}, {"n": Numeric("none")})
    with pytest.raises(ValueError, match="no negative"):
        FeatureEncoder(negative.schema, selection=Selection("chi2", 1)).fit(negative, [0, 1])


# Tables.


def test_schemas_are_guessed():
    table = FeatureTable(
        range(4),
        {
            "n": ["1", "2.5", "", "3"],
            "when": ["2020-01-01", "", "2021-01-01", "2022-01-01"],
            "genre": ["a|b", "a", "b", "c"],
            "list": [["x"], ["x", "y"], [], ["y"]],
            "flag": [True, False, None, True],
            "plot": ["a man has a dream", "a ship meets a guest", "", "boy meets girl again"],
            "colour": ["red", "blue", "red", "red"],
            "vector": np.eye(4),
            "empty": ["", None, "", float("nan")],
        },
    )
    kinds = {name: column.kind for name, column in table.schema.items()}
    want = ["numeric", "dates", "multi_label", "multi_label", "categorical", "text", "categorical", "dense"]
    assert list(kinds.values()) == want and "empty" not in kinds


def test_files_and_frames_are_one_table(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"film": [7, 8], "genres": ["war|drama", None], "year": [1979, 1985]})
    frame.write_parquet(tmp_path / "films.parquet")
    (tmp_path / "films.csv").write_text("film,genres,year\n7,war|drama,1979\n8,,1985\n")
    (tmp_path / "films.tsv").write_text("film\tgenres\tyear\n7\twar|drama\t1979\n8\t\t1985\n")
    tables = [FeatureTable.from_file(tmp_path / f"films.{kind}") for kind in ("csv", "tsv", "parquet")]
    tables += [FeatureTable.from_frame(frame), FeatureTable.from_frame(frame.to_pandas())]
    encoder = FeatureEncoder(tables[0].schema).fit(tables[0])
    for table in tables:
        assert table.id_map.ids().tolist() == [7, 8] and table.schema == tables[0].schema
        assert dense(encoder.transform(table)).tolist() == dense(encoder.transform(tables[0])).tolist()
    assert FeatureTable.from_file(tmp_path / "films.csv", id="year").id_map.ids().tolist() == [1979, 1985]


@pytest.mark.parametrize(
    ("text", "name", "match"),
    [
        ("film,year\n1,2,3\n", "films.csv", "2 fields in line 2"),
        ("", "films.csv", "a table"),
        ("film,film\n1,2\n", "films.csv", "distinct columns"),
        ("film,year\n1,2\n1,3\n", "films.csv", "each id once"),
        ("film,year\n,2\n", "films.csv", "an id in every row"),
        ("film,year\n", "films.json", "csv, tsv or parquet"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, name, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        FeatureTable.from_file(tmp_path / name)


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 values of 'year', one an id, got 1"):
        FeatureTable([1, 2], {"year": [1979]})
    with pytest.raises(ValueError, match="among \\['year'\\], got 'genre'"):
        FeatureTable([1], {"year": [1979]}, {"genre": MultiLabel()})
    with pytest.raises(TypeError, match="expected a schema"):
        FeatureTable([1], {"year": [1979]}, {"year": "numeric"})
    with pytest.raises(NotFittedError):
        FeatureEncoder({"year": Numeric()}).transform(FeatureTable([1], {"year": [1979]}))
    with pytest.raises(ValueError, match=r"\[numeric\] expected a number, got 'x' in row 1"):
        FeatureEncoder({"n": Numeric()}).fit(FeatureTable([1, 2], {"n": [1, "x"]}))


# Saving.

VALUES = {
    "n": st.one_of(st.none(), st.floats(-1e6, 1e6)),
    "when": st.one_of(st.none(), st.dates()),
    "one": st.one_of(st.none(), st.text(max_size=4), st.integers(-5, 5)),
    "some": st.one_of(st.none(), st.lists(st.text(max_size=3), max_size=4)),
    "plot": st.one_of(st.none(), st.text(max_size=30)),
}
SCHEMA = {
    "n": Numeric(),
    "when": Dates(n_knots=3),
    "one": Categorical(min_count=1, max_terms=5),
    "some": MultiLabel(),
    "plot": Text(n_hashed=8),
    "pair": Cross("one", "some", n_hashed=8),
    "vector": Dense("standard"),
}


@st.composite
def tables(draw) -> FeatureTable:
    n = draw(st.integers(1, 6))
    columns = {name: draw(st.lists(of, min_size=n, max_size=n)) for name, of in VALUES.items()}
    vectors = np.array(draw(st.lists(st.floats(-9, 9, width=32), min_size=2 * n, max_size=2 * n)))
    return FeatureTable(range(n), columns | {"vector": vectors.reshape(n, 2)}, SCHEMA)


@settings(max_examples=40, deadline=None)
@given(tables(), tables(), st.sampled_from([None, Selection("variance", 3)]))
def test_a_restored_encoder_gives_the_same_bits(train, other, selection):
    encoder = FeatureEncoder(SCHEMA, selection=selection).fit(train)
    tensors, meta = encoder.to_tensors("encoder")
    again = FeatureEncoder.from_tensors("encoder", tensors, meta)
    assert again.names == encoder.names and again.schema == encoder.schema
    for table in (train, other):
        whole = encoder.transform(table)
        assert whole.shape == (len(table), len(encoder.names)) and np.isfinite(whole.data).all()
        assert dense(again.transform(table)).tobytes() == dense(whole).tobytes()
        for row in range(len(table)):
            assert dense(encoder.transform(table.take([row]))).tobytes() == dense(whole)[row].tobytes()


def saved() -> tuple[dict, dict]:
    table = FeatureTable([1, 2], {"genre": ["a|b", "b"], "year": [1979, 1985], "v": np.eye(2)})
    return FeatureEncoder(table.schema, selection=Selection("variance", 2)).fit(table).to_tensors("encoder")


def test_an_artefact_holds_an_encoder(tmp_path):
    write_artifact(tmp_path / "e", "features", *saved())
    artifact = read_artifact(tmp_path / "e", "features")
    assert FeatureEncoder.from_tensors("encoder", artifact.tensors, artifact.meta).columns[
        "genre"
    ].names() == ["a", "b"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors, meta: tensors.pop("encoder.numbers"),
        lambda tensors, meta: tensors.pop("encoder.terms.text"),
        lambda tensors, meta: tensors.update({"encoder.numbers": tensors["encoder.numbers"][:-1]}),
        lambda tensors, meta: tensors.update({"encoder.numbers": tensors["encoder.numbers"] * np.nan}),
        lambda tensors, meta: tensors.update({"encoder.numbers": -tensors["encoder.numbers"]}),
        lambda tensors, meta: tensors.update(
            {"encoder.numbers": tensors["encoder.numbers"].astype(np.float32)}
        ),
        lambda tensors, meta: tensors.update({"encoder.kept": tensors["encoder.kept"] + 9}),
        lambda tensors, meta: tensors.update({"encoder.kept": tensors["encoder.kept"] - 1}),
        lambda tensors, meta: tensors.update({"encoder.terms.text": np.uint8([255, 254])}),
        lambda tensors, meta: tensors.update({"encoder.terms.text": np.uint8([97, 97])}),
        lambda tensors, meta: tensors.update({"encoder.terms.offsets": np.array([0, 2, 1])}),
        lambda tensors, meta: meta.update(encoder=[]),
        lambda tensors, meta: meta["encoder"].update(sizes=[[1, 1, 1]]),
        lambda tensors, meta: meta["encoder"].update(sizes="many"),
        lambda tensors, meta: meta["encoder"].update(schema=[["genre", "pickle", {}]]),
        lambda tensors, meta: meta["encoder"].update(schema=[["genre", "text", {"depth": 3}]]),
        lambda tensors, meta: meta["encoder"].update(schema=7),
        lambda tensors, meta: meta["encoder"].update(selection=["best", 3]),
        lambda tensors, meta: meta["encoder"]["schema"][1].__setitem__(1, ["numeric"]),
    ],
)
def test_damaged_encoders_are_refused(damage):
    tensors, meta = saved()
    damage(tensors, meta)
    with pytest.raises(ArtifactError):
        pytest.fail(f"{FeatureEncoder.from_tensors('encoder', tensors, meta).columns}")


def test_a_state_must_fit_its_column():
    with pytest.raises(ArtifactError, match="numeric column"):
        Numeric().restore(ColumnState(["a"], np.ones(2)))
    with pytest.raises(ArtifactError, match="categorical column"):
        Categorical(n_hashed=4).restore(ColumnState(["a"], np.empty(0)))
    assert repr(inferred({"a": np.array([1])})["a"]) == "Numeric(scale='standard', n_knots=8)"
