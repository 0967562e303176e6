"""Rights: SPDX expressions against what a recipe allows and denies."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.curate.rights import CRITERION, Standing, standing
from dsvl_data.curate.settings import CategoryRules, RightsRules

DENY = RightsRules(deny=("CC-BY-NC-*", "proprietary"))
ALLOW = RightsRules(allow=("MIT", "CC-BY-*", "GPL-2.0-only with Classpath-exception-2.0"))


@pytest.mark.parametrize(
    ("licence", "rules", "expected"),
    [
        ("MIT", DENY, Standing.ALLOWED),
        ("cc-by-nc-4.0", DENY, Standing.DENIED),
        ("CC-BY-NC-SA-3.0 OR MIT", DENY, Standing.ALLOWED),
        ("MIT AND CC-BY-NC-4.0", DENY, Standing.DENIED),
        # AND binds closer than OR, whichever comes first.
        ("MIT OR Apache-2.0 AND proprietary", DENY, Standing.ALLOWED),
        ("proprietary AND MIT OR Apache-2.0", DENY, Standing.ALLOWED),
        ("(MIT OR Apache-2.0) AND proprietary", DENY, Standing.DENIED),
        ("((MIT))and(Apache-2.0)", DENY, Standing.ALLOWED),
        ("((MIT)) and (Apache-2.0)", DENY, Standing.ALLOWED),
        ("unknown", DENY, Standing.UNKNOWN),
        ("NOASSERTION", ALLOW, Standing.UNKNOWN),
        ("", ALLOW, Standing.UNKNOWN),
        ("MIT AND unknown", ALLOW, Standing.UNKNOWN),
        ("MIT OR unknown", ALLOW, Standing.ALLOWED),
        ("GPL-2.0-only", ALLOW, Standing.DENIED),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ALLOW, Standing.ALLOWED),
        ("GPL-2.0-only WITH another", ALLOW, Standing.DENIED),
        ("MIT WITH another", ALLOW, Standing.ALLOWED),
        ("CC-BY-SA-4.0", ALLOW, Standing.ALLOWED),
        ("MIT+", ALLOW, Standing.ALLOWED),
        ("Custom licence of the city", RightsRules(), Standing.ALLOWED),
        ("Custom licence of the city", RightsRules(deny=("custom*",)), Standing.DENIED),
        ("MIT AND", DENY, Standing.UNKNOWN),
        ("(MIT", DENY, Standing.UNKNOWN),
        ("MIT)", DENY, Standing.UNKNOWN),
        ("OR MIT", DENY, Standing.UNKNOWN),
        ("()", DENY, Standing.UNKNOWN),
        ("(" * 5000 + "MIT" + ")" * 5000, DENY, Standing.UNKNOWN),
    ],
)
def test_expressions(licence: str, rules: RightsRules, expected: Standing) -> None:
    assert standing(licence, rules) == expected


def test_what_is_denied_is_not_kept_though_allowed() -> None:
    rules = RightsRules(allow=("CC-BY-*",), deny=("CC-BY-NC-4.0",))
    assert standing("CC-BY-NC-4.0", rules) == Standing.DENIED
    assert standing("CC-BY-4.0", rules) == Standing.ALLOWED


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (RightsRules(deny=("GPL-2.0-only",)), Standing.DENIED),
        (RightsRules(deny=("GPL-*",), allow=("*",)), Standing.DENIED),
        (RightsRules(deny=("*classpath*",)), Standing.DENIED),
        (RightsRules(deny=("MIT",)), Standing.ALLOWED),
        (RightsRules(allow=("GPL-2.0-only",)), Standing.ALLOWED),
    ],
)
def test_an_exception_takes_no_denial_away(rules: RightsRules, expected: Standing) -> None:
    assert standing("GPL-2.0-only WITH Classpath-exception-2.0", rules) == expected
    assert standing("unknown WITH Classpath-exception-2.0", rules) <= Standing.UNKNOWN


WORDS = st.sampled_from(["MIT", "CC-BY-NC-4.0", "unknown", "(", ")", "AND", "or", "WITH", "a b"])


@given(st.lists(WORDS, max_size=12))
def test_any_sequence_of_words_gets_an_answer(words: list[str]) -> None:
    assert standing(" ".join(words), DENY) in Standing


@given(st.lists(st.sampled_from(["MIT", "X-1", "CC-BY-NC-4.0", "unknown"]), min_size=1))
def test_of_alternatives_the_best_counts_of_conditions_the_worst(names: list[str]) -> None:
    alone = [standing(name, DENY) for name in names]
    assert standing(" OR ".join(names), DENY) == max(alone)
    assert standing(" AND ".join(names), DENY) == min(alone)


@pytest.mark.parametrize("unknown", ["keep", "drop"])
def test_unknown_licences_have_their_own_rule(unknown: str) -> None:
    rights = RightsRules.model_validate({"allow": ["MIT"], "unknown": unknown})
    table = pa.table({"licence": ["MIT", "unknown", "X-1", None]})
    passing = [True] * 4
    reasons = {}
    for rule in CRITERION.rules(CategoryRules(rights=rights)):
        for row, passes in enumerate(rule.passes(table).tolist()):
            if not passes and passing[row]:
                passing[row] = False
                reasons[row] = str(rule.reason)
    expected = {2: "licence"}
    if unknown == "drop":
        expected |= {1: "unknown_licence", 3: "unknown_licence"}
    assert reasons == expected
