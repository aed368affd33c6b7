"""Rules on lists: what never changes, and that searches with rules are those over all items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurec import IdMap, Interactions, Popularity, TopK, evaluate
from gpurec.models import GFCF, MF, P3alpha
from gpurec.reranking import (
    MMR,
    AtMost,
    Boosts,
    Calibrated,
    Categories,
    Expiry,
    FreshnessDecay,
    Pipeline,
    Reranked,
    by_item,
)

N_ITEMS = 40
DAY = 86400.0


def plays() -> Interactions:
    rng = np.random.default_rng(5)
    has = rng.random((30, N_ITEMS)) < np.linspace(0.6, 0.05, N_ITEMS)
    has[:, 3] |= ~has.any(axis=1)
    users, items = np.nonzero(has)
    return Interactions.from_arrays(
        users,
        items,
        rng.integers(1, 6, len(users)),
        item_map=IdMap(range(N_ITEMS)),
        user_map=IdMap(range(30)),
    )


@pytest.fixture(scope="module")
def models():
    kinds = (Popularity(), P3alpha(n_neighbours=9), GFCF(n_vectors=5), MF(n_factors=3, max_epochs=4))
    return [model.fit(plays()) for model in kinds]


@st.composite
def lists(draw) -> TopK:
    """Candidates of some users: distinct rows, few different scores, so that many tie."""
    n = draw(st.integers(1, 3))
    rows, scores = np.full((n, 15), -1), np.full((n, 15), -np.inf, np.float32)
    for user in range(n):
        items = draw(st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=15))
        values = [draw(st.integers(-3, 3)) / 2 for _ in items]
        order = sorted(range(len(items)), key=lambda i: (-values[i], items[i]))
        rows[user, : len(items)] = [items[i] for i in order]
        scores[user, : len(items)] = [values[i] for i in order]
    return TopK(rows, scores)


@st.composite
def rules(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["boost", "add", "fresh", "expiry", "cap", "mmr", "calibrated"]))
    if kind == "boost":
        return Boosts(rng.choice([0.5, 1, 1, 1, 3], N_ITEMS))
    if kind == "add":
        return Boosts(rng.choice([-1, 0, 0, 2], N_ITEMS), how="add")
    if kind == "fresh":
        return FreshnessDecay(rng.choice([0, 5 * DAY, np.nan], N_ITEMS), half_life=DAY)
    if kind == "expiry":
        return Expiry(rng.choice([0, 9 * DAY, 20 * DAY], N_ITEMS), rng.choice([0, 11 * DAY], N_ITEMS))
    if kind == "cap":
        return AtMost(draw(st.integers(1, 3)), categories(rng))
    if kind == "mmr":
        return MMR(draw(st.sampled_from([0, 0.3, 1])), vectors=rng.normal(size=(N_ITEMS, 3)), n_candidates=15)
    return Calibrated(draw(st.sampled_from([0, 0.5, 1])), categories(rng), n_candidates=15)


def categories(rng, n: int = 4) -> Categories:
    of_item = {item: rng.choice(n, rng.integers(0, 3), replace=False).tolist() for item in range(N_ITEMS)}
    return Categories(IdMap(range(N_ITEMS)), of_item)


PAST = plays().user_items


def reranked(found: TopK, *chosen, k: int = 15) -> TopK:
    return Pipeline(chosen).rerank(found, k, user_rows=np.arange(len(found)), user_items=PAST, now=10 * DAY)


def same(a: TopK, b: TopK) -> bool:
    return a.rows.tolist() == b.rows.tolist() and a.scores.tobytes() == b.scores.tobytes()


@given(lists(), st.lists(rules(), max_size=4))
def test_no_item_is_invented_or_shown_twice(found, chosen):
    answer = reranked(found, *chosen)
    for before, after in zip(found.rows.tolist(), answer.rows.tolist()):
        shown = [row for row in after if row >= 0]
        assert after == shown + [-1] * (15 - len(shown))
        assert len(set(shown)) == len(shown) and set(shown) <= set(before)
    assert (
        np.isneginf(answer.scores[answer.rows < 0]).all()
        and np.isfinite(answer.scores[answer.rows >= 0]).all()
    )


@given(lists(), rules(), st.integers(1, 15))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(found, rule, k):
    whole, short = reranked(found, rule), reranked(found, rule, k=k)
    assert same(short, TopK(whole.rows[:, :k], whole.scores[:, :k]))


@given(lists())
def test_what_leaves_a_list_as_it_is(found):
    rng = np.random.default_rng(0)
    neutral = [
        Boosts(np.ones(N_ITEMS)),
        Boosts(np.zeros(N_ITEMS), how="add"),
        FreshnessDecay(np.full(N_ITEMS, 11 * DAY), half_life=1),
        FreshnessDecay(np.full(N_ITEMS, np.nan), half_life=1),
        Expiry(np.full(N_ITEMS, np.nan)),
        AtMost(15, categories(rng)),
        MMR(1, vectors=rng.normal(size=(N_ITEMS, 3))),
        Calibrated(0, categories(rng)),
    ]
    for rule in neutral:
        assert same(reranked(found, rule), found), rule
    assert same(reranked(found, *neutral), found)


@given(lists(), st.integers(0, 99), st.integers(1, 3))
def test_a_category_never_has_more_than_m_and_the_first_ones_stay(found, seed, m):
    of = categories(np.random.default_rng(seed))
    answer = reranked(found, AtMost(m, of))
    for before, after in zip(found.rows.tolist(), answer.rows.tolist()):
        counts, want = [0] * len(of), []
        for row in before:
            own = [place for place in of.places[row].tolist() if place >= 0] if row >= 0 else []
            if row >= 0 and all(counts[place] < m for place in own):
                want.append(row)
                for place in own:
                    counts[place] += 1
        assert [row for row in after if row >= 0] == want


@given(lists(), st.integers(0, 99))
def test_mmr_is_the_greedy_choice_of_its_definition(found, seed):
    vectors = np.random.default_rng(seed).integers(-2, 3, (N_ITEMS, 3)).astype(float)
    answer = reranked(found, MMR(0.6, vectors=vectors))
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    for rows, scores, after in zip(found.rows, found.scores.astype(float), answer.rows.tolist()):
        left = [row for row in rows.tolist() if row >= 0]
        scores = scores[: len(left)]
        span = max(scores.max() - scores.min(), 1e-300) if left else 1
        good = dict(
            zip(left, (scores - scores.min()) / span if left and scores.min() < scores.max() else [1] * 15)
        )
        shown: list[int] = []
        for row in (row for row in after if row >= 0):

            def gain(item, shown=tuple(shown), good=good):
                near = max((units[item] @ units[j] for j in shown), default=0)
                return 0.6 * good[item] - 0.4 * near

            assert gain(row) >= max(gain(item) for item in left if item not in shown) - 1e-6
            shown.append(row)
        assert sorted(shown) == sorted(left)


@given(lists(), st.integers(0, 99))
def test_calibration_is_the_greedy_choice_of_its_definition(found, seed):
    of = categories(np.random.default_rng(seed))
    shares = of.shares()
    answer = reranked(found, Calibrated(0.4, of))
    for user, (rows, scores, after) in enumerate(zip(found.rows, found.scores.astype(float), answer.rows)):
        left = [row for row in rows.tolist() if row >= 0]
        if not left:
            continue
        scores = scores[: len(left)]
        flat = scores.min() == scores.max()
        good = dict(zip(left, [1] * 15 if flat else (scores - scores.min()) / (scores.max() - scores.min())))
        past = PAST[[user]].toarray()[0] @ shares
        past = past / past.sum()

        def value(items, good=good, past=past):
            listed = sum(shares[item] for item in items)
            listed = listed / listed.sum() if listed.sum() else listed
            mixed = 0.99 * listed + 0.01 * past
            there = past > 0
            return 0.6 * sum(good[i] for i in items) - 0.4 * (past[there] * np.log(past / mixed)[there]).sum()

        shown: list[int] = []
        with np.errstate(divide="ignore", invalid="ignore"):
            for row in (row for row in after.tolist() if row >= 0):
                best = max(value([*shown, item]) for item in left if item not in shown)
                assert value([*shown, row]) >= best - 1e-9
                shown.append(row)
        assert len(shown) == len(left)


@given(lists(), st.integers(0, 99))
def test_more_of_a_boost_never_lowers_an_item(found, seed):
    rng = np.random.default_rng(seed)
    factors = rng.choice([0.25, 1, 4], N_ITEMS)
    raised = rng.integers(N_ITEMS)
    more = factors.copy()
    more[raised] *= 2
    for before, after in zip(reranked(found, Boosts(factors)).rows, reranked(found, Boosts(more)).rows):
        if raised in before:
            assert after.tolist().index(raised) <= before.tolist().index(raised)


@settings(deadline=None, max_examples=60)
@given(st.lists(rules(), max_size=3), st.integers(1, 12), st.integers(0, 3), st.booleans())
def test_a_search_with_rules_is_the_one_over_all_items(models, chosen, k, which, filtered):
    """The search looks only as deep as it must; the rules over all permitted items say the same."""
    model = models[which]
    users = np.arange(0, 30, 3)
    filters = (
        {"deny": np.array([1, 2]), "exclude": [np.array([user % 7]) for user in users]} if filtered else {}
    )
    got = Reranked(model, chosen, now=10 * DAY).recommend_rows(users, k, **filters)
    shown = np.logical_and.reduce(
        [rule.permitted(10 * DAY) for rule in chosen if isinstance(rule, Expiry)] or [np.ones(N_ITEMS, bool)]
    )
    all_items = model.recommend_rows(users, N_ITEMS, allow=shown, **filters)
    want = Pipeline(chosen).rerank(
        all_items, min(k, N_ITEMS), user_rows=users, user_items=model.user_items, now=10 * DAY
    )
    assert same(got, want)


def test_expired_items_are_shown_to_nobody(models):
    ends = by_item(models[0].item_map, {0: 5, 1: 5, 2: 20}, default=np.inf)
    for model in models:
        asked = Reranked(model, [Expiry(ends)], now=10)
        answer = asked.recommend([1, 2, "new"], N_ITEMS, exclude_seen=False, unknown="popularity")
        assert not {0, 1} & set(answer.item_ids.tolist()) and 2 in answer.item_ids
        assert answer.sources.tolist() == ["model", "model", "popularity"]
        assert not {0, 1} & set(asked.popular_rows(N_ITEMS).tolist())


def test_scores_are_those_of_predict_where_no_rule_changes_them(models):
    of = categories(np.random.default_rng(1))
    for model in models:
        table = (
            Reranked(model, [AtMost(2, of), MMR(0.5, vectors=np.eye(N_ITEMS))])
            .recommend([1, 2], 6)
            .to_dicts()
        )
        want = model.predict([row["user_id"] for row in table], [row["item_id"] for row in table])
        assert np.float32([row["score"] for row in table]).tobytes() == want.tobytes()


def test_a_promoted_item_is_found_without_going_through_all(models, monkeypatch):
    model = models[1]
    boosts = Boosts(by_item(model.item_map, {N_ITEMS - 1: 1e6}, default=1))
    depths = []
    search = type(model).recommend_rows
    monkeypatch.setattr(
        type(model),
        "recommend_rows",
        lambda self, users, k, **more: depths.append(k) or search(self, users, k, **more),
    )
    Reranked(model, [boosts]).recommend_rows([1, 2], 3)
    assert max(depths) <= 6


def test_blocks_and_users_alone_give_the_same(models):
    asked = Reranked(
        models[2],
        [
            AtMost(2, categories(np.random.default_rng(2))),
            Calibrated(0.3, categories(np.random.default_rng(3))),
        ],
    )
    together = asked.recommend_rows(np.arange(30), 7)
    for user in (0, 13, 29):
        assert same(
            asked.recommend_rows([user], 7),
            TopK(together.rows[user : user + 1], together.scores[user : user + 1]),
        )
    blocks = [row for part in asked.recommend_all(k=7, batch=4) for row in part.to_dicts()]
    assert blocks == asked.recommend(asked.user_map.ids(np.arange(30)), 7).to_dicts()


def test_rules_cost_and_gain_as_they_should_on_a_judged_model(models):
    test = plays().take(np.arange(0, len(plays()), 3))
    plain = evaluate(models[1], test, k=5, exclude_seen=False)
    vectors = models[3].item_factors
    diverse = evaluate(
        Reranked(models[1], [MMR(0.3, vectors=vectors, n_candidates=20)]), test, k=5, exclude_seen=False
    )
    assert diverse.mean("recall@5") <= plain.mean("recall@5")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Boosts([1, 0]), ValueError, r"\[boosts\] expected values above 0, got 0.0 of row 1"),
        (lambda: Boosts([1, np.inf]), ValueError, r"\[boosts\] expected finite"),
        (lambda: Boosts(["a"]), TypeError, r"\[boosts\] expected values as numbers"),
        (lambda: Boosts([[1]]), ValueError, r"\[boosts\] expected values of shape"),
        (lambda: Boosts([1], how="power"), ValueError, r"\[boosts\] expected how"),
        (lambda: FreshnessDecay([1], 0), ValueError, r"\[freshness\] expected a half_life"),
        (lambda: Expiry([1, 2], [1]), ValueError, r"\[expiry\] expected starts for 2"),
        (lambda: MMR(2, vectors=[[1]]), ValueError, r"\[mmr\] expected weight"),
        (lambda: MMR(0.5), ValueError, r"\[mmr\] expected vectors or similarity"),
        (lambda: MMR(0.5, vectors=[1, 2]), ValueError, r"\[mmr\] expected vectors as numbers"),
        (lambda: MMR(0.5, similarity=[[1, 2]]), ValueError, r"\[mmr\] expected similarity of shape"),
        (lambda: AtMost(0, Categories(IdMap(["a"]), {})), ValueError, r"\[at_most\] expected m"),
        (lambda: Pipeline(["boost"]), TypeError, r"\[rerank\] expected rules"),
        (
            lambda: Pipeline([Boosts([1]), Boosts([1, 2])]),
            ValueError,
            r"\[rerank\] expected rules over the same",
        ),
        (
            lambda: Pipeline([MMR(1, vectors=[[1]] * 3, n_candidates=2)]).rerank(
                TopK(np.array([[0, 1, 2]]), np.float32([[3, 2, 1]])), 3
            ),
            ValueError,
            r"\[rerank\] expected k of at most 2",
        ),
    ],
)
def test_what_is_wrong_is_said(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_similarity_may_be_given_as_a_matrix(models):
    from scipy.sparse import csr_array

    found = TopK(np.array([[0, 1, 2]]), np.float32([[3, 2.9, 1]]))
    alike = np.eye(3, dtype=np.float32)
    alike[0, 1] = alike[1, 0] = 0.99
    for similarity in (alike, csr_array(alike)):
        assert reranked(found, MMR(0.5, similarity=similarity), k=3).rows.tolist() == [[0, 2, 1]]


def test_what_rules_change_is_explained(models):
    rules = [Boosts(np.linspace(0.5, 3, N_ITEMS)), FreshnessDecay(np.zeros(N_ITEMS), half_life=DAY)]
    for model in models:
        asked = Reranked(model, rules, now=0.5 * DAY)
        found = asked.recommend([1, 2], 5, with_explanations=True)
        for why, row in zip(found.explanations, found.to_dicts()):
            assert abs(why.contributions.sum() - row["score"]) <= why.tolerance
            assert "rules" in why.names
            if model.training.known_rows("item", [row["item_id"]])[0] < 0:
                continue
            again = asked.explain(row["user_id"], row["item_id"])
            assert again.score == row["score"] and again.names == why.names
