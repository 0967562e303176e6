import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.curate.minhash import MinHashParameters, signatures, similarity
from dsvl_data.curate.normalise import normalise, shingles, tables, tokens

HASHES = {"xxh32": xxhash.xxh32_intdigest, "xxh64": xxhash.xxh64_intdigest}
SCHEMES = [
    MinHashParameters(),
    MinHashParameters(permutations=37, ngram=3, seed=9),
    MinHashParameters(permutations=16, ngram=1, scheme="affine64"),
    MinHashParameters(permutations=16, scheme="affine64", shingle_hash="xxh64"),
    MinHashParameters(permutations=16, scheme="legacy"),
]
# Letters of many scripts, and what is special: marks in any order, white space, final sigma.
SPECIAL = (
    " \t\n\x1c\x85\xa0\u2028\u3000ΣσςİIıßÅΩ\u212b\u0301\u0323\u0308\u3099が你，。한\U0001d15e\x00"
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(st.sampled_from("aB Cd.Σ\n你好が\u0301\u0323é"), max_size=300),
    st.text(st.sampled_from(SPECIAL), max_size=60),
    st.text(st.characters(codec="ascii"), max_size=600),
)


def peer(texts: list[str], parameters: MinHashParameters) -> np.ndarray:
    sets = [[shingle.encode() for shingle in shingles(text, parameters.ngram)] for text in texts]
    found = MinHash.bulk(
        sets,
        num_perm=parameters.permutations,
        seed=parameters.seed,
        scheme=parameters.scheme,
        hashfunc=HASHES[parameters.shingle_hash],
    )
    return np.array([minhash.hashvalues for minhash in found]).reshape(len(texts), -1)


@pytest.mark.parametrize("parameters", SCHEMES, ids=str)
def test_signatures_are_datasketchs_bit_for_bit(parameters):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(TEXTS, min_size=1, max_size=6))
    def check(texts):
        found = signatures(texts, parameters)
        assert found.dtype == parameters.dtype
        np.testing.assert_array_equal(found, peer(texts, parameters))

    check()


@pytest.mark.parametrize("parameters", SCHEMES, ids=str)
def test_long_texts_and_long_words_too(parameters):
    words = [f"Word{i}" * (i % 29 // 9 + 1) for i in range(3000)]
    texts = [" ".join(words), "x" * 5000, "long" * 50 + " b" * 900, "漢字" * 2000, "", "\n \t"]
    np.testing.assert_array_equal(signatures(texts, parameters), peer(texts, parameters))


def test_a_shingle_of_every_length():
    """What is laid out in vectors (below 48 bytes), and what is not, around each limit."""
    texts = ["".join(chr(97 + (i * 7 + k) % 26) for k in range(i)) for i in range(1, 200)]
    for parameters in SCHEMES:
        np.testing.assert_array_equal(signatures(texts, parameters), peer(texts, parameters))


def test_every_code_point_is_normalised_as_unicodedata_does():
    planes = (*range(0x33000), *range(0xE0000, 0xE0300), *range(0x10FF00, 0x110000))
    points = [p for p in planes if not 0xD800 <= p < 0xE000]
    # Each stands between letters, so that one wrong character changes three shingles.
    texts = ["".join(f"q{chr(p)}r " for p in points[i : i + 64]) for i in range(0, len(points), 64)]
    parameters = MinHashParameters(permutations=64, ngram=1)
    np.testing.assert_array_equal(
        signatures(texts, parameters),
        signatures([normalise(text) for text in texts], parameters),
    )
    some = range(0, len(texts), 97)
    np.testing.assert_array_equal(
        signatures([texts[i] for i in some], parameters),
        peer([texts[i] for i in some], parameters),
    )


@given(TEXTS)
@settings(deadline=None)
def test_a_normal_form_is_normal(text):
    normal = normalise(text)
    assert normalise(normal) == normal
    assert unicodedata.is_normalized("NFD", normal)
    assert normal == normal.strip()
    spans = tokens(normal)
    assert "".join(normal[a:b] for a, b in spans) == normal.replace(" ", "")


def test_tokens_are_words_or_characters_of_scripts_without_spaces():
    assert normalise("Hello,\n  WORLD É") == "hello, world e\u0301"
    assert shingles("one two three four five six", 5) == [
        "one two three four five",
        "two three four five six",
    ]
    assert shingles("机器学习\n很好。", 5) == ["机器学习很", "器学习很好", "学习很好。"]
    assert shingles("がくせい", 5) == [unicodedata.normalize("NFD", "がくせい")]
    assert shingles("用 Python 3 写", 2) == ["用 python", "python 3", "3 写"]
    assert shingles("한국어 글", 1) == [unicodedata.normalize("NFD", w) for w in ("한국어", "글")]
    assert shingles(" \n", 5) == []


def test_a_text_without_words_has_the_empty_signature():
    parameters = MinHashParameters(permutations=8)
    assert (signatures(["", " \u3000\n"], parameters) == parameters.empty).all()
    assert signatures([], parameters).shape == (0, 8)


def test_arrow_arrays_slices_nulls_and_lone_surrogates_are_taken():
    parameters = MinHashParameters(permutations=8)
    texts = ["a b c", "d e", None, "f g h i j k l", "ß Σ"]
    plain = signatures([text or "" for text in texts], parameters)
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        np.testing.assert_array_equal(signatures(pa.array(texts, kind), parameters), plain)
        np.testing.assert_array_equal(
            signatures(pa.array(texts, kind)[1:4], parameters), plain[1:4]
        )
    np.testing.assert_array_equal(
        signatures(["a \ud800 b"], parameters), signatures(["a ? b"], parameters)
    )


def test_bytes_that_are_no_utf8_do_not_reach_beyond_their_text():
    parameters = MinHashParameters(permutations=8, ngram=1)
    broken = [b"ab \xe4\xbd", b"\xf0\x9f", b"\xff\xfe\x80", b"\xf7\xbf\xbf\xbf", b"\xc3"]
    texts = pa.array(broken, pa.large_binary()).view(pa.large_string())
    alone = [
        signatures(pa.array([b], pa.large_binary()).view(pa.large_string()), parameters)[0]
        for b in broken
    ]
    np.testing.assert_array_equal(signatures(texts, parameters), np.array(alone))


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_change_nothing(threads):
    texts = [f"text {i} " * (i % 40) for i in range(200)]
    parameters = MinHashParameters(permutations=16)
    np.testing.assert_array_equal(
        signatures(texts, parameters, threads=threads), signatures(texts, parameters)
    )


def test_similarity_estimates_jaccards():
    one = " ".join(f"w{i}" for i in range(1000))
    other = " ".join(f"w{i}" for i in range(111, 1111))
    rows = signatures([one, other], MinHashParameters(permutations=512))
    a, b = set(shingles(one, 5)), set(shingles(other, 5))
    assert similarity(rows[0], rows[1]) == pytest.approx(len(a & b) / len(a | b), abs=0.07)


def test_parameters_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="64 bits"):
        MinHashParameters(shingle_hash="xxh64")
    with pytest.raises(ValueError, match="ngram"):
        MinHashParameters(ngram=0)


def test_no_spelling_outgrows_the_buffer():
    forms = tables()
    entries = forms.entries[forms.pages].reshape(-1)
    lengths = entries >> np.uint64(24) & np.uint64(255)
    for point in np.flatnonzero(lengths).tolist():
        assert lengths[point] <= forms.growth * len(chr(point).encode())
