"""From the UTF-8 bytes of texts to MinHash signatures, compiled.

In: bytes, offsets and the tables of `normalise.py`. Out: a row of minima for each text. Compiled
by numba at the first call (some 10 s) and kept on disk beside this file or where
`NUMBA_CACHE_DIR` says. Nothing here falls back to anything else.

One text after the other: its normal form is written into a scratch buffer with the place where
each token starts, the shingles (slices of that buffer) are hashed, and the permutations of the
hashes are reduced to their minima, in blocks that stay in the first cache.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

_U32 = np.uint32
_U64 = np.uint64
BLOCK: Final = 512  # shingles hashed before they are permuted
LANES: Final = 128  # shingles laid out for hashing at once
PADDING: Final = 64  # bytes that may be read or written beyond the end of a buffer

_P1, _P2, _P3, _P4, _P5 = (
    _U32(p) for p in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)
)
_Q1, _Q2, _Q3, _Q4, _Q5 = (
    _U64(p)
    for p in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_MERSENNE = _U64((1 << 61) - 1)
_LOW = _U64(0xFFFFFFFF)
_SPACE = np.uint8(32)
_ONES: Final = 0x0101010101010101
_HIGHEST_BITS = _U64(_ONES * 128)
_FROM_9 = _U64(_ONES * 9)  # 9 to 13 and 28 to 32 are white space
_FROM_14 = _U64(_ONES * 14)
_FROM_28 = _U64(_ONES * 28)
_FROM_33 = _U64(_ONES * 33)
_FROM_A = _U64(_ONES * ord("A"))
_AFTER_Z = _U64(_ONES * (ord("Z") + 1))
_SPACES = _U64(_ONES * 32)


def _load(bits: int) -> Any:
    """Make an unaligned little-endian load from an array of bytes; no bounds are checked."""

    @intrinsic
    def load(typing: Any, data: Any, at: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(array.data, [arguments[1]], source_etype=ir.IntType(8))
            place = builder.bitcast(place, ir.IntType(bits).as_pointer())
            word = builder.load(place, typ=ir.IntType(bits))
            word.align = 1
            return word

        return (types.uint32 if bits == 32 else types.uint64)(data, types.intp), codegen

    return load


_load32 = _load(32)
_load64 = _load(64)


@intrinsic
def _store64(typing: Any, data: Any, at: Any, word: Any) -> Any:
    """Store eight bytes, unaligned and little-endian; no bounds are checked."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.gep(array.data, [arguments[1]], source_etype=ir.IntType(8))
        place = builder.bitcast(place, ir.IntType(64).as_pointer())
        builder.store(arguments[2], place).align = 1
        return context.get_dummy_value()

    return types.void(data, types.intp, types.uint64), codegen


@intrinsic
def _zeros_below(typing: Any, word: Any) -> Any:
    """Count the zero bits below the lowest one; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


_store: Any = _store64  # to mypy an intrinsic takes the typing context too
_count_zeros: Any = _zeros_below


@njit(inline="always")
def _rotate32(x: Any, by: int) -> Any:
    return _U32(_U32(x << _U32(by)) | _U32(x >> _U32(32 - by)))


@njit(inline="always")
def _rotate64(x: Any, by: int) -> Any:
    return _U64(_U64(x << _U64(by)) | _U64(x >> _U64(64 - by)))


@njit(inline="always")
def _round32(state: Any, word: Any) -> Any:
    return _U32(_rotate32(_U32(state + _U32(word * _P2)), 13) * _P1)


@njit(inline="always")
def _avalanche32(h: Any) -> Any:
    h = _U32(_U32(h ^ _U32(h >> _U32(15))) * _P2)
    h = _U32(_U32(h ^ _U32(h >> _U32(13))) * _P3)
    return _U32(h ^ _U32(h >> _U32(16)))


@njit(nogil=True, cache=True)
def xxh32(data: NDArray[np.uint8], start: int, end: int) -> Any:
    """XXH32 with seed 0 of `data[start:end]` (xxHash specification, version 0.1.1)."""
    at = start
    if end - start >= 16:
        s1, s2, s3, s4 = _U32(_P1 + _P2), _P2, _U32(0), _U32(_U32(0) - _P1)
        while at + 16 <= end:
            s1 = _round32(s1, _load32(data, at))
            s2 = _round32(s2, _load32(data, at + 4))
            s3 = _round32(s3, _load32(data, at + 8))
            s4 = _round32(s4, _load32(data, at + 12))
            at += 16
        h = _U32(_rotate32(s1, 1) + _rotate32(s2, 7) + _rotate32(s3, 12) + _rotate32(s4, 18))
    else:
        h = _P5
    h = _U32(h + _U32(end - start))
    while at + 4 <= end:
        h = _U32(_rotate32(_U32(h + _U32(_load32(data, at) * _P3)), 17) * _P4)
        at += 4
    while at < end:
        h = _U32(_rotate32(_U32(h + _U32(_U32(data[at]) * _P5)), 11) * _P1)
        at += 1
    return _avalanche32(h)


@njit(inline="always")
def _round64(state: Any, word: Any) -> Any:
    return _U64(_rotate64(_U64(state + _U64(word * _Q2)), 31) * _Q1)


@njit(inline="always")
def _merge64(h: Any, state: Any) -> Any:
    return _U64(_U64(h ^ _round64(_U64(0), state)) * _Q1 + _Q4)


@njit(nogil=True, cache=True)
def xxh64(data: NDArray[np.uint8], start: int, end: int) -> Any:
    """XXH64 with seed 0 of `data[start:end]` (xxHash specification, version 0.1.1)."""
    at = start
    if end - start >= 32:
        s1, s2, s3, s4 = _U64(_Q1 + _Q2), _Q2, _U64(0), _U64(_U64(0) - _Q1)
        while at + 32 <= end:
            s1 = _round64(s1, _load64(data, at))
            s2 = _round64(s2, _load64(data, at + 8))
            s3 = _round64(s3, _load64(data, at + 16))
            s4 = _round64(s4, _load64(data, at + 24))
            at += 32
        h = _U64(_rotate64(s1, 1) + _rotate64(s2, 7) + _rotate64(s3, 12) + _rotate64(s4, 18))
        h = _merge64(_merge64(_merge64(_merge64(h, s1), s2), s3), s4)
    else:
        h = _Q5
    h = _U64(h + _U64(end - start))
    while at + 8 <= end:
        h = _U64(_rotate64(_U64(h ^ _round64(_U64(0), _load64(data, at))), 27) * _Q1 + _Q4)
        at += 8
    if at + 4 <= end:
        h = _U64(_rotate64(_U64(h ^ _U64(_U64(_load32(data, at)) * _Q1)), 23) * _Q2 + _Q3)
        at += 4
    while at < end:
        h = _U64(_rotate64(_U64(h ^ _U64(_U64(data[at]) * _Q5)), 11) * _Q1)
        at += 1
    h = _U64(_U64(h ^ _U64(h >> _U64(33))) * _Q2)
    h = _U64(_U64(h ^ _U64(h >> _U64(29))) * _Q3)
    return _U64(h ^ _U64(h >> _U64(32)))


@njit(nogil=True, cache=True)
def _normal_form(
    data: NDArray[np.uint8],
    at: Any,
    end: int,
    ascii_entries: NDArray[np.uint8],
    pages: NDArray[np.uint16],
    entries: NDArray[np.uint64],
    spellings: NDArray[np.uint8],
    normal: NDArray[np.uint8],
    starts: NDArray[np.int32],
) -> tuple[int, int]:
    """Write the normal form of `data[at:end]` and where its tokens start.

    Returns its length and the number of tokens; a length of -1 when Python has to do it.
    """
    o: Any = 0  # length so far
    t: Any = 0  # tokens so far
    gap: Any = 1  # nothing, or a space, was written last
    cut: Any = 1  # the next character starts a token
    alone: Any = 0  # the last token is a single character of a spaceless script
    before: Any = 0  # combining class of the last character
    while at < end:
        c = data[at]
        if c < 128:
            # Eight bytes at once, and no branch where a word ends: that can't be predicted.
            while at + 8 <= end:
                word = _load64(data, at)
                high = _U64(word | _HIGHEST_BITS)
                # The highest bit of each byte says that it is at most a space, ...
                low = _U64(~_U64(high - _FROM_33) & _HIGHEST_BITS)
                # ... a control character, ...
                control = _U64(_U64(high - _FROM_14) & _U64(~_U64(high - _FROM_28)))
                control = _U64(low & _U64(control | _U64(~_U64(high - _FROM_9))))
                # ... not ASCII, or a second space in a row.
                odd = _U64(_U64(word & _HIGHEST_BITS) | _U64(low & _U64(low << _U64(8))))
                if _U64(_U64(odd | control) | _U64(low & _U64(_U64(gap) << _U64(7)))) != _U64(0):
                    break
                upper = _U64(_U64(high - _FROM_A) & _U64(~_U64(high - _AFTER_Z)))
                word = _U64(word | _U64(_U64(upper & _HIGHEST_BITS) >> _U64(2)))
                spaces = _U64(_U64(low >> _U64(7)) * _U64(255))
                word = _U64(_U64(word & _U64(~spaces)) | _U64(spaces & _SPACES))
                _store(normal, o, word)
                starts[np.uintp(t)] = o
                t += cut & (1 - np.intp(_U64(low >> _U64(7)) & _U64(1)))
                inner: Any = _U64(low & _U64(0x0080808080808080))
                for _ in range(4):  # as many single spaces as seven bytes hold
                    starts[np.uintp(t)] = o + 1 + np.intp(_count_zeros(inner) >> _U64(3))
                    t += np.intp(inner != _U64(0))
                    inner = _U64(inner & _U64(inner - _U64(1)))
                gap = np.intp(low >> _U64(63))
                cut = gap
                alone = 0
                o += 8
                at += 8
            stop = min(at + 8, end)
            while at < stop and data[np.uintp(at)] < 128:
                entry = ascii_entries[data[np.uintp(at)]]
                space = np.intp(entry >> 7)
                normal[np.uintp(o)] = entry & 127
                starts[np.uintp(t)] = o
                t += cut & (1 - space)
                o += 1 - (gap & space)
                alone &= space
                gap = space
                cut = space
                at += 1
            before = 0
            continue
        point: Any = 0xFFFD
        size = 1
        if c >= 0xF0:
            if at + 4 <= end:
                point = (np.intp(c) & 7) << 18 | (np.intp(data[at + 1]) & 63) << 12
                point |= (np.intp(data[at + 2]) & 63) << 6 | (np.intp(data[at + 3]) & 63)
                size = 4
                if point >= 0x110000:
                    point = 0xFFFD
        elif c >= 0xE0:
            if at + 3 <= end:
                point = (np.intp(c) & 15) << 12 | (np.intp(data[at + 1]) & 63) << 6
                point |= np.intp(data[at + 2]) & 63
                size = 3
        elif c >= 0xC0 and at + 2 <= end:
            point = (np.intp(c) & 31) << 6 | (np.intp(data[at + 1]) & 63)
            size = 2
        what = entries[pages[point >> 8], point & 255]
        kind = np.intp(what & _U64(255))
        if kind == 1:
            if gap == 0:
                normal[o] = _SPACE
                o += 1
            gap = 1
            cut = 1
            before = 0
            at += size
            continue
        first = np.intp(what >> _U64(8)) & 255
        if kind == 4 or 0 < first < before:
            return -1, 0
        before = np.intp(what >> _U64(16)) & 255
        if kind == 2:
            if alone == 1 and gap == 1:
                o -= 1
            starts[t] = o
            t += 1
            alone = 1
            cut = 1
        elif kind == 0 or gap == 1:
            if cut == 1:
                starts[t] = o
                t += 1
            alone = 0
            cut = 0
        gap = 0
        length = np.intp(what >> _U64(24)) & 255
        if length:
            source = np.intp(what >> _U64(32))
            for i in range(length):
                normal[o + i] = spellings[source + i]
            o += length
        elif size == 1:
            normal[o], normal[o + 1], normal[o + 2] = 0xEF, 0xBF, 0xBD
            o += 3
        else:
            for i in range(size):
                normal[o + i] = data[at + i]
            o += size
        at += size
    if t and gap:
        o -= 1
    starts[t] = o
    return o, t


@njit(inline="always")
def _span(
    normal: NDArray[np.uint8], starts: NDArray[np.int32], first: int, ngram: int, count: int
) -> tuple[Any, Any]:
    """Start and end of the shingle that begins with token `first`."""
    after = first + ngram
    if after >= count:
        return np.intp(starts[first]), np.intp(starts[count])
    end = np.intp(starts[after])
    return np.intp(starts[first]), end - np.intp(normal[end - 1] == _SPACE)


@njit(nogil=True, cache=True)
def _stage(
    normal: NDArray[np.uint8],
    starts: NDArray[np.int32],
    first: int,
    n: int,
    ngram: int,
    count: int,
    staged: NDArray[np.uint32],
) -> Any:
    """Lay `n` shingles out word by word, for `_hash_staged`; returns the longest's length.

    Row i holds the i-th of the first eight words of each shingle, rows 8-10 the words after the
    last whole 16 bytes, row 11 the last, incomplete word, row 12 the length in bytes.
    """
    longest: Any = 0
    for i in range(n):
        start, end = _span(normal, starts, first + i, ngram, count)
        size = end - start
        longest = max(longest, size)
        for row in range(8):
            staged[np.uintp(row * LANES + i)] = _load32(normal, start + 4 * row)
        tail = start + (size & ~15)
        for row in range(3):
            staged[np.uintp((8 + row) * LANES + i)] = _load32(normal, tail + 4 * row)
        staged[np.uintp(11 * LANES + i)] = _load32(normal, start + (size & ~3))
        staged[np.uintp(12 * LANES + i)] = size
    return longest


@njit(inline="always")
def _choose(condition: bool, one: Any, other: Any) -> Any:
    return one if condition else other


@njit(inline="always")
def _word32(h: Any, word: Any) -> Any:
    return _U32(_rotate32(_U32(h + _U32(word * _P3)), 17) * _P4)


@njit(inline="always")
def _byte32(h: Any, word: Any) -> Any:
    return _U32(_rotate32(_U32(h + _U32(_U32(word & _U32(255)) * _P5)), 11) * _P1)


@njit(nogil=True, cache=True)
def _hash_staged(staged: NDArray[np.uint32], n: int, hashes: NDArray[np.uint32], to: int) -> None:
    """XXH32 of staged shingles below 48 bytes, all steps for all: compiled to vectors."""
    for i in range(n):
        lane = np.uintp(i)
        size = staged[lane + np.uintp(12 * LANES)]
        s1 = _round32(_U32(_P1 + _P2), staged[lane])
        s2 = _round32(_P2, staged[lane + np.uintp(LANES)])
        s3 = _round32(_U32(0), staged[lane + np.uintp(2 * LANES)])
        s4 = _round32(_U32(_U32(0) - _P1), staged[lane + np.uintp(3 * LANES)])
        twice = size >= _U32(32)
        s1 = _choose(twice, _round32(s1, staged[lane + np.uintp(4 * LANES)]), s1)
        s2 = _choose(twice, _round32(s2, staged[lane + np.uintp(5 * LANES)]), s2)
        s3 = _choose(twice, _round32(s3, staged[lane + np.uintp(6 * LANES)]), s3)
        s4 = _choose(twice, _round32(s4, staged[lane + np.uintp(7 * LANES)]), s4)
        h = _U32(_rotate32(s1, 1) + _rotate32(s2, 7) + _rotate32(s3, 12) + _rotate32(s4, 18))
        h = _U32(_choose(size >= _U32(16), h, _P5) + size)
        rest = size & _U32(15)
        h = _choose(rest >= _U32(4), _word32(h, staged[lane + np.uintp(8 * LANES)]), h)
        h = _choose(rest >= _U32(8), _word32(h, staged[lane + np.uintp(9 * LANES)]), h)
        h = _choose(rest >= _U32(12), _word32(h, staged[lane + np.uintp(10 * LANES)]), h)
        last = staged[lane + np.uintp(11 * LANES)]
        rest = size & _U32(3)
        h = _choose(rest >= _U32(1), _byte32(h, last), h)
        h = _choose(rest >= _U32(2), _byte32(h, _U32(last >> _U32(8))), h)
        h = _choose(rest >= _U32(3), _byte32(h, _U32(last >> _U32(16))), h)
        hashes[np.uintp(to + i)] = _avalanche32(h)


@njit(nogil=True, cache=True)
def _hash32(
    normal: NDArray[np.uint8],
    starts: NDArray[np.int32],
    first: int,
    last: int,
    ngram: int,
    count: int,
    staged: NDArray[np.uint32],
    hashes: NDArray[np.uint32],
) -> None:
    """XXH32 of the shingles that begin with the tokens from `first` up to `last`."""
    for at in range(first, last, LANES):
        n = min(LANES, last - at)
        longest = _stage(normal, starts, at, n, ngram, count, staged)
        _hash_staged(staged, n, hashes, at - first)
        if longest >= 48:
            for i in range(n):
                if staged[12 * LANES + i] >= _U32(48):
                    start, end = _span(normal, starts, at + i, ngram, count)
                    hashes[at - first + i] = xxh32(normal, start, end)


@njit(nogil=True, cache=True)
def _mix32(hashes: NDArray[np.uint32], n: int) -> None:
    """MurmurHash3's 32-bit finaliser, as datasketch's scheme affine32 has it."""
    for i in range(n):
        h = hashes[i]
        h = _U32(_U32(h ^ _U32(h >> _U32(16))) * _U32(0x85EBCA6B))
        h = _U32(_U32(h ^ _U32(h >> _U32(13))) * _U32(0xC2B2AE35))
        hashes[i] = _U32(h ^ _U32(h >> _U32(16)))


@njit(nogil=True, cache=True)
def _mix64(hashes: NDArray[np.uint64], n: int) -> None:
    for i in range(n):
        h = hashes[i]
        h = _U64(_U64(h ^ _U64(h >> _U64(33))) * _U64(0xFF51AFD7ED558CCD))
        h = _U64(_U64(h ^ _U64(h >> _U64(33))) * _U64(0xC4CEB9FE1A85EC53))
        hashes[i] = _U64(h ^ _U64(h >> _U64(33)))


@njit(nogil=True, cache=True)
def _minima32(
    hashes: NDArray[np.uint32],
    n: int,
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    row: NDArray[np.uint32],
) -> None:
    for k in range(a.shape[0]):
        lowest, by, plus = row[k], a[k], b[k]
        for i in range(n):
            lowest = min(lowest, _U32(_U32(by * hashes[i]) + plus))
        row[k] = lowest


@njit(nogil=True, cache=True)
def _minima64(
    hashes: NDArray[np.uint64],
    n: int,
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
    row: NDArray[np.uint64],
    legacy: bool,
) -> None:
    for k in range(a.shape[0]):
        lowest, by, plus = row[k], a[k], b[k]
        if legacy:
            for i in range(n):
                x = _U64(_U64(by * hashes[i]) + plus)
                x = _U64(x & _MERSENNE) + _U64(x >> _U64(61))  # x modulo 2^61 - 1
                x = x - _MERSENNE if x >= _MERSENNE else x
                lowest = min(lowest, _U64(x & _LOW))
        else:
            for i in range(n):
                lowest = min(lowest, _U64(_U64(by * hashes[i]) + plus))
        row[k] = lowest


@njit(nogil=True, cache=True)
def signatures32(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    ascii_entries: NDArray[np.uint8],
    pages: NDArray[np.uint16],
    entries: NDArray[np.uint64],
    spellings: NDArray[np.uint8],
    normal: NDArray[np.uint8],
    starts: NDArray[np.int32],
    ngram: int,
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    left: NDArray[np.bool_],
) -> None:
    """Fill `rows` by the scheme affine32 over xxh32; `left` marks the texts left to Python."""
    hashes = np.empty(BLOCK, np.uint32)
    staged = np.empty(13 * LANES, np.uint32)
    for text in range(offsets.shape[0] - 1):
        length, count = _normal_form(
            data, offsets[text], offsets[text + 1], ascii_entries, pages, entries, spellings,
            normal, starts,
        )  # fmt: skip
        left[text] = length < 0
        if count == 0:
            continue
        total = max(1, count - ngram + 1)
        for first in range(0, total, BLOCK):
            last = min(first + BLOCK, total)
            _hash32(normal, starts, first, last, ngram, count, staged, hashes)
            _mix32(hashes, last - first)
            _minima32(hashes, last - first, a, b, rows[text])


@njit(nogil=True, cache=True)
def signatures64(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    ascii_entries: NDArray[np.uint8],
    pages: NDArray[np.uint16],
    entries: NDArray[np.uint64],
    spellings: NDArray[np.uint8],
    normal: NDArray[np.uint8],
    starts: NDArray[np.int32],
    ngram: int,
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
    rows: NDArray[np.uint64],
    left: NDArray[np.bool_],
    legacy: bool,
    wide: bool,
) -> None:
    """Fill `rows` by the scheme affine64, or legacy, over xxh64 if `wide`, else xxh32."""
    hashes = np.empty(BLOCK, np.uint64)
    for text in range(offsets.shape[0] - 1):
        length, count = _normal_form(
            data, offsets[text], offsets[text + 1], ascii_entries, pages, entries, spellings,
            normal, starts,
        )  # fmt: skip
        left[text] = length < 0
        if count == 0:
            continue
        total = max(1, count - ngram + 1)
        for first in range(0, total, BLOCK):
            last = min(first + BLOCK, total)
            for i in range(first, last):
                start, end = _span(normal, starts, i, ngram, count)
                hashes[i - first] = (
                    xxh64(normal, start, end) if wide else _U64(xxh32(normal, start, end))
                )
            if not legacy:
                _mix64(hashes, last - first)
            _minima64(hashes, last - first, a, b, rows[text], legacy)
