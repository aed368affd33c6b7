"""Reading files: each format, its detection, and an error that names the line for each thing wrong."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpurec.data import Interactions, detect_format, read_records, readers
from gpurec.errors import MissingExtraError

CSV = "userId,movieId,rating,timestamp\n1,31,2.5,100\n2,1029,3,200\n"


@pytest.fixture(params=["polars", "plain"])
def parser(request, monkeypatch):
    """Both ways through the reader of tables."""
    if request.param == "plain":
        monkeypatch.setattr(readers, "_through_polars", lambda table: None)
    return request.param


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def columns_of(records):
    return [
        None if values is None else values.tolist()
        for values in (records.user_ids, records.item_ids, records.weights, records.timestamps)
    ]


FOUR = [[1, 2], [31, 1029], [2.5, 3.0], [100, 200]]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", CSV, FOUR),
        ("a.csv", CSV.replace("\n", "\r\n"), FOUR),
        ("a.csv", "\ufeff" + CSV, FOUR),
        ("a.csv", "\n" + CSV + "\n\n", FOUR),
        ("a.csv", CSV.replace(",", " , "), FOUR),
        ("a.csv", CSV.replace("31", '"31"'), FOUR),
        ("a.csv", "rating,timestamp,item_id,USER\n2.5,100,31,1\n3,200,1029,2\n", FOUR),
        ("a.tsv", CSV.replace(",", "\t"), FOUR),
        ("a.inter", CSV.replace(",", "\t").replace("userId", "user_id:token"), FOUR),
        ("ratings.dat", "1::31::2.5::100\n2::1029::3::200\n", FOUR),
        ("u.data", "1\t31\t2.5\t100\n2\t1029\t3\t200\n", FOUR),
        ("u1.base", "1\t31\t2.5\t100\r\n2\t1029\t3\t200\r\n", FOUR),
        ("u1.test", "1\t31\t2.5\t100\n2\t1029\t3\t200", FOUR),
        ("a.csv", "1,31,2.5,100\n2,1029,3,200\n", FOUR),
        ("rated.txt", "1 31 2.5\n1 1029 3\n", [[1, 1], [31, 1029], [2.5, 3.0], None]),
        ("pairs.csv", "user,item\nann,x\nbob,7\n", [["ann", "bob"], ["x", "7"], None, None]),
        ("pairs.dat", "1\t2\n1\t3\n", [[1, 1], [2, 3], None, None]),
        ("a.csv", "user,item\n007,1\n8,2\n", [["007", "8"], [1, 2], None, None]),
        ("a.csv", 'user,item\n"a,b","say ""hi"""\n', [["a,b"], ['say "hi"'], None, None]),
        ("a.csv", "user,item\né,ü\n", [["é"], ["ü"], None, None]),
        ("a.csv", f"user,item\n1,{2**63}\n2,{2**63 - 1}\n", [[1, 2], [2**63, 2**63 - 1], None, None]),
        (
            "a.csv",
            "user,item,datetime\n1,2,1970-01-02\n1,3,1970-01-01T00:01:00Z\n1,4,1970-01-01 02:00:00+02:00\n",
            [[1, 1, 1], [2, 3, 4], None, [86400, 60, 0]],
        ),
        ("a.csv", "user,item,timestamp\n1,2,12.75\n1,3,-5\n", [[1, 1], [2, 3], None, [12, -5]]),
        ("train.txt", "0 10 11 12\n1 10\n", [[0, 0, 0, 1], [10, 11, 12, 10], None, None]),
        ("long.txt", "0 1 2 3 4\n1 5 6 7 8\n", [[0] * 4 + [1] * 4, [1, 2, 3, 4, 5, 6, 7, 8], None, None]),
    ],
)
def test_files_that_are_read(write, parser, name, content, expected):
    assert columns_of(read_records(write(name, content))) == expected


def test_missing_values_stay_missing(write, parser):
    raw = read_records(write("a.csv", "user,item,rating,timestamp\n1,,2,3\n,5,,\n6,7,nan,9\n"))
    assert raw.user_ids.tolist() == [1, None, 6] and raw.item_ids.tolist() == [None, 5, 7]
    assert np.isnan(raw.weights).tolist() == [False, True, True]
    assert {role: mask.tolist() for role, mask in raw.missing().items()} == {
        "user": [False, True, False],
        "item": [True, False, False],
        "weight": [False, True, True],
        "timestamp": [False, True, False],
    }
    with pytest.raises(ValueError, match="have its user"):
        Interactions.from_file(write("b.csv", "user,item\n1,2\n,3\n"))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.data", " \n\n", "a.data is empty"),
        ("a.csv", "user,item\n", "a.csv has a header and nothing else"),
        ("a.csv", CSV + "3,5,1\n", "expected 4 fields in line 4 of a.csv, got 3: '3,5,1'"),
        ("a.csv", CSV + "\n3,5,1,6,7\n", "expected 4 fields in line 5 of a.csv, got 5"),
        ("u.data", "1\t2\t3\n1\t2\n", "expected 3 fields in line 2 of u.data, got 2"),
        ("r.dat", "1::2::3\n1::2::3::4\n", "expected 3 fields in line 2"),
        ("a.csv", CSV.replace("2.5", "good"), "a number as weight in line 2 of a.csv, got 'good'"),
        ("a.csv", CSV.replace("2.5", "1_0"), "a number as weight in line 2 of a.csv, got '1_0'"),
        ("a.csv", CSV.replace("200", "noon"), "ISO date as timestamp in line 3 of a.csv, got 'noon'"),
        ("a.csv", CSV.replace("200", "inf"), "ISO date as timestamp in line 3 of a.csv, got 'inf'"),
        ("a.csv", 'user,item\n1,"2\n', "well-formed fields in line 2"),
        ("a.csv", "movieId,title\n1,x\n", r"column of users, but the columns are \['movieId', 'title'\]"),
        ("a.csv", "userId;movieId\n1;2\n", "no ',' in its first line; its first line is 'userId;movieId'"),
        ("a.tsv", CSV, r"a tsv file by its name, but no '\\t' in its first line"),
        ("a.csv", "1,2,3,4,5\n", "expected user, item, weight, timestamp in a.csv, got 5 fields"),
        ("a.parquet", CSV, "expected text or parquet, but a.parquet begins with b'userId,m'"),
        ("a.data", b"\x00\x01\x02", r"begins with b'\\x00"),
        ("a.csv", CSV.encode() + b"\xe9,1,1,1\n", "expected UTF-8 text, but line 4 of a.csv is none"),
        ("u.item", "1|Toy Story|x\n2|Jumanji|y\n", "neither of these; its first line is '1|Toy Story|x'"),
        ("a.txt", "1 2 3\n4 5 6\n", "3 to 3 a line, first fields that differ"),
        ("a.txt", "1 2 3\n1 5\n", "2 to 3 a line, first fields that repeat"),
        ("a.txt", "1 7\n2 7 8\n3 5 6 7\n", "begin with the count of their fields"),
    ],
)
def test_files_that_are_refused(write, parser, name, content, text):
    with pytest.raises(ValueError, match=text):
        read_records(write(name, content))


@pytest.mark.parametrize("format", ["csv", "tsv", "movielens", "adjacency", "parquet", "auto"])
def test_a_file_that_is_empty_or_absent(tmp_path, write, format):
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "nothing", format=format)
    with pytest.raises(ValueError, match=r"a is empty|begins with b''"):
        read_records(write("a", ""), format=format)


def test_formats_and_columns_that_are_given(write, parser):
    content = "what,who,how much\n7,ann,2\n"
    columns = {"user": "who", "item": 0, "weight": "how much"}
    path = write("a.txt", content)
    assert columns_of(read_records(path, format="csv", columns=columns)) == [["ann"], [7], [2.0], None]
    headless = write("b.csv", "9,5,ann,x,7\n")
    found = read_records(headless, columns={"user": 2, "item": 4, "weight": 1, "timestamp": None})
    assert columns_of(found) == [["ann"], [7], [5.0], None]
    with pytest.raises(ValueError, match=r"format among \['auto', 'csv'"):
        read_records(path, format="xlsx")
    with pytest.raises(ValueError, match="no columns for an adjacency"):
        read_records(path, format="adjacency", columns=columns)


def test_users_without_items_are_users_all_the_same(write):
    path = write("train.txt", "ann a b\nbob\n\ncleo b\n")
    plays = Interactions.from_file(path, format="adjacency")
    assert len(plays) == 3 and sorted(plays.user_map) == ["ann", "bob", "cleo"]
    assert plays.user_items.sum() == 3 and plays.n_items == 2
    numbers = Interactions.from_file(write("t.txt", "3 5 6 7\n4\n"))
    assert list(numbers.user_map) == [3, 4] and numbers.item_ids().tolist() == [5, 6, 7]


@given(
    st.lists(
        st.tuples(
            st.integers(-9, 99) | st.text("ab ,\"'é01", min_size=1, max_size=4).filter(str.strip),
            st.integers(0, 10**12),
            st.floats(-1e6, 1e6, width=32),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_both_parsers_give_the_same(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    quoted = "".join('"{}",{},{!r}\n'.format(str(u).replace('"', '""'), i, w) for u, i, w in rows)
    path.write_text("user,item,weight\n" + quoted, encoding="utf-8")
    table = readers._table(path, path.read_text(encoding="utf-8"), "csv", None)
    plain = readers._line_by_line(table)
    fast = readers._through_polars(table)
    assert fast is not None and columns_of(fast) == columns_of(plain)
    assert plain.item_ids.tolist() == [i for _, i, _ in rows]
    assert plain.weights.tolist() == [w for _, _, w in rows]


def test_parquet(tmp_path, write):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"userId": [1, 2], "item": ["a", None], "rating": [1.5, 2]}).write_parquet(path)
    for format in ("auto", "parquet"):
        raw = read_records(path, format=format)
        assert raw.user_ids.tolist() == [1, 2] and raw.item_ids.tolist() == ["a", None]
    assert detect_format(path.rename(tmp_path / "renamed")) == "parquet"
    with pytest.raises(ValueError, match=r"a\.pq cannot be read"):
        read_records(write("a.pq", b"PAR1 and nothing else"))


def test_without_polars_text_is_read_and_parquet_says_what_is_missing(write, tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user": [1], "item": [2]}).write_parquet(path)

    def absent(module, extra):
        raise MissingExtraError(f"{module} is not installed; do: pip install 'gpurec[{extra}]'")

    monkeypatch.setattr(readers, "import_extra", absent)
    assert columns_of(read_records(write("a.csv", CSV))) == FOUR
    with pytest.raises(MissingExtraError, match=r"pip install 'gpurec\[data\]'"):
        read_records(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "format", "counts"),
    [
        ("ml-100k/u.data", "movielens", (100_000, 943, 1682)),
        ("ml-100k/u1.base", "movielens", (80_000, 943, 1650)),
        ("ml-100k/u1.test", "movielens", (20_000, 459, 1410)),
        ("ml-latest-small/ratings.csv", "csv", (100_004, 671, 9066)),
        ("gowalla/train.txt", "adjacency", (810_128, 29_858, 40_981)),
        ("gowalla/test.txt", "adjacency", (217_242, 29_858, 38_546)),
        ("lastfm-hetrec/user_artists.dat", "movielens", (92_834, 1892, 17_632)),
        ("filmtrust/ratings_qrec.txt", "movielens", (35_497, 1508, 2071)),
    ],
)
def test_real_files_have_their_published_counts(data_folder, name, format, counts):
    path = data_folder / name
    assert detect_format(path) == format
    found = Interactions.from_file(path)
    assert (len(found), found.n_users, found.n_items) == counts


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["citeulike-a/users.dat", "ml-100k/u.item", "lastfm-hetrec/user_friends.dat"]
)
def test_real_files_of_other_kinds_are_refused(data_folder, name):
    with pytest.raises(ValueError, match=r"its first line is|the columns are"):
        Interactions.from_file(data_folder / name)
