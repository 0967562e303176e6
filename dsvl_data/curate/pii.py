"""Personal data in texts, masked: e-mail and IP addresses, telephone and identity numbers.

In: a text. Out: the text with a typed placeholder (`[EMAIL]`, `[IP_ADDRESS]`, `[PHONE]`,
`[ID_NUMBER]`, `[CARD_NUMBER]`) for each find, and how many there were of each kind.

Many numbers look like personal data: versions, sections, dates, ISBNs, results. So what can be
verified is (check digits of Chinese, Hong Kong and Taiwanese identity numbers and of bank cards,
dates and regions in them, ranges of IP addresses), what cannot needs the usual form, and numbers
in formulas, code and web addresses are nobody's. E-mail and IP addresses are masked in code as
well (authors, logs). What identifies nobody stays: `example.org`, private and documentation
addresses, fictional numbers (555-01xx).
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date

from pydantic import Field

from dsvl_data.curate.prose import blank_literals
from dsvl_data.pipeline import Settings
from dsvl_data.sample import Sample, Text


class PiiRules(Settings):
    """Which personal data is masked in texts."""

    email: bool = True
    ip_address: bool = Field(default=True, description="IPv4 and IPv6, public ones only")
    phone: bool = Field(default=True, description="Chinese, North American and international")
    id_number: bool = Field(
        default=True,
        description="identity cards of China, Hong Kong, Taiwan; social security numbers (US), "
        "national insurance numbers (UK)",
    )
    card_number: bool = Field(default=False, description="bank cards, by Luhn's check digit")
    categories: tuple[str, ...] = Field(
        default=("interleaved", "text", "sft_inhouse", "sft_general", "sft_text"),
        description="of which samples; not of those whose text is what their image shows: they "
        "would teach to read what does not stand there",
    )


#: Kinds in the order in which they claim characters, with their placeholders.
PLACEHOLDERS: Mapping[str, str] = {
    "email": "[EMAIL]",
    "id_number": "[ID_NUMBER]",
    "card_number": "[CARD_NUMBER]",
    "ip_address": "[IP_ADDRESS]",
    "phone": "[PHONE]",
}

_Span = tuple[int, int]
_A_DIGIT = re.compile(r"\d")

_LOCAL = r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.．]){1,6}[A-Za-z]{2,24}"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9._%+-])({_LOCAL})[@＠]({_DOMAIN})(?![A-Za-z0-9-]|\.[A-Za-z0-9])"
)
_EMAIL_SPOKEN = re.compile(
    rf"(?<![A-Za-z0-9._%+-])({_LOCAL}) ?[\[(<{{](?:at|AT)[\])>}}] ?"
    rf"((?:[A-Za-z0-9-]{{1,63}}(?: ?[\[(<{{](?:dot|DOT)[\])>}}] ?|\.)){{1,5}}[A-Za-z]{{2,24}})"
    r"(?![A-Za-z0-9])"
)
_NO_MAILBOX = frozenset({"git", "hg", "svn"})  # git@host: how a repository is addressed
# Names of files and units after an @, as in picture@2x.png and getty@tty1.service.
_NO_DOMAIN = frozenset(
    "png jpg jpeg gif svg webp pdf js mjs css ts py rb html xml json yaml toml txt gz zip tar "  # noqa: SIM905
    "service socket timer target mount device slice scope path header "
    "example test invalid localhost local".split()
)
_EXAMPLES = re.compile(r"(?:^|\.)example\.(?:com|org|net|edu|cn)$")

_IPV4 = re.compile(
    r"(?a)(?<![\w.:/=+-])(\d{1,3}(?:\.\d{1,3}){3})(?![\w-]|\.\d)(?=(:\d{2,5}\b|/\d{1,2}\b)?)"
)
_IPV4_IN_ADDRESS = re.compile(r"(?:://|@|/)(\d{1,3}(?:\.\d{1,3}){3})(?=[:/\s\"'>)]|$)")
_ADDRESS_WORDS = re.compile(
    r"(?i)(?:\b(?:ip|ips|ipv4|addr|address|addresses|host|server|client|dns|gateway|router|proxy|"
    r"ping|ssh|from|peer|node|subnet|netmask)\b|地址|服务器|主机|网关|代理|伺服器)[^\n]{0,24}$"
)
_NO_ADDRESS_WORDS = re.compile(
    r"(?i)(?:\b(?:version|versions|release|ver|build|section|sections|chapter|clause|rfc|figure|fig|"
    r"table|appendix|python|linux|kernel|chrome|firefox|windows|oid)\b|版本|章节|章|节|第|图|表)\.?\s*\W?$"
)
_IPV6_IN_USE = ipaddress.ip_network("2000::/3")
_IPV6 = re.compile(r"(?a)(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:|:){2,8}[0-9A-Fa-f]{0,4}(?![\w:])")

# Numbers; what may stand around them is the business of `_stands_alone`.
_CHINA = r"(?:(?:\+|00)86[- ]?|\(\+86\) ?|86-)?"
_MOBILE = re.compile(rf"(?<!\d){_CHINA}1[3-9]\d(?:\d{{8}}|[- ]\d{{4}}[- ]\d{{4}})(?!\d)")
_AREA = r"0(?:10|2\d|[3-9]\d\d)"
_LANDLINE = re.compile(
    rf"(?<!\d){_CHINA}(?:\({_AREA}\) ?|（{_AREA}） ?|{_AREA}[-－])"
    r"[2-8]\d{2,3}[- ]?\d{4}(?:-\d{1,6}|转\d{1,6})?(?!\d)"
)
_AMERICAN = re.compile(
    r"(?<!\d)(?:\+?1[-. ]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d([-.]))[2-9]\d\d(?(1)\1|[-. ])\d{4}(?!\d)"
)
_INTERNATIONAL = re.compile(
    r"(?<![\w)])\+(?P<number>[1-9]\d{0,2}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?"
    r"\d{1,4}(?:[ .-]?\d{2,4}){1,4})(?!\d)"
)
_UNIT = re.compile(
    r"\s*(?:元|人|美元|次|个|個|米|公里|吨|噸|年|亿|億|万|萬|字|分|km\b|kg\b|bytes?\b|USD\b)"
)
# ITU-T E.164's country codes: one digit, two, or three by their first two.
_COUNTRY = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|(?:2[1-69]|3[578]|42|5[09]|6[789]|85|"
    r"88|9[679])\d"
)
_PHONE_WORDS = re.compile(
    r"(?i)(?:\b(?:tel|phone|telephone|mobile|cell|call|fax|whatsapp|wechat)\b|电话|電話|手机|手機|热线|"
    r"传真|微信|联系)[^\n\d]{0,12}$"
)
_OTHER_NUMBERS = re.compile(
    r"(?i)(?:\b(?:isbn|issn|doi|arxiv|pmid|order|serial|version|patent|no|nr|sku|ean|upc)\b\.?|"
    r"书号|刊号|订单|编号|版本|序列号|订单号|单号|专利)[-\d]{0,3}[\s:：#.号是为]{0,4}$"
)

_CHINESE_ID = re.compile(r"(?<![\dA-Za-z])[1-9]\d{16}[\dXx](?![\dA-Za-z])")
_CHINESE_PROVINCES = frozenset(
    {*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55)}
    | {*range(61, 66), 71, 81, 82, 83}
)
_HONG_KONG_ID = re.compile(r"(?<![A-Za-z0-9])([A-Z]{1,2})(\d{6})[(（]([0-9A])[)）]")
_TAIWAN_ID = re.compile(r"(?<![A-Za-z0-9])[A-Z][12]\d{8}(?![A-Za-z0-9])")
_TAIWAN_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # A is 10, B 11, ... O 35
_SOCIAL_SECURITY = re.compile(r"(?<!\d)(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?!\d)")
_NATIONAL_INSURANCE = re.compile(
    r"(?<![A-Za-z0-9])(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    r" \d\d \d\d \d\d [A-D](?![A-Za-z0-9])"
)
_CARD = re.compile(
    r"(?<!\d)[3-6]\d{3}(?:\d{9,15}|([ -])\d{4}\1\d{4}\1\d{1,7}|([ -])\d{6}\2\d{5})(?!\d)"
)


def mask(text: str, rules: PiiRules) -> tuple[str, Mapping[str, int]]:
    """Return the text with placeholders, and the finds by kind (kinds without one are absent)."""
    if not any(sign in text for sign in "@＠:[(<{") and not _A_DIGIT.search(text):
        return text, {}
    finds: list[tuple[int, int, str]] = []
    taken = bytearray(len(text))
    for kind, start, end in _find(text, rules):
        if not any(taken[start:end]):
            taken[start:end] = b"\1" * (end - start)
            finds.append((start, end, kind))
    if not finds:
        return text, {}
    finds.sort()
    pieces, position = [], 0
    for start, end, kind in finds:
        pieces += [text[position:start], PLACEHOLDERS[kind]]
        position = end
    return "".join(pieces) + text[position:], dict(Counter(kind for _, _, kind in finds))


def mask_sample(sample: Sample, rules: PiiRules) -> tuple[Sample, Mapping[str, int]]:
    """Mask the texts of a sample, if it is of a category that the rules name."""
    if sample.category not in rules.categories:
        return sample, {}
    total: Counter[str] = Counter()
    segments = []
    for segment in sample.segments:
        if isinstance(segment, Text):
            masked, counts = mask(segment.text, rules)
            if counts:
                total.update(counts)
                segment = replace(segment, text=masked)
        segments.append(segment)
    return (replace(sample, segments=tuple(segments)) if total else sample), dict(total)


def _find(text: str, rules: PiiRules) -> Iterator[tuple[str, int, int]]:
    finders: Mapping[str, tuple[Callable[[str], Iterator[_Span]], bool]] = {
        "email": (_emails, False),
        "id_number": (_id_numbers, True),
        "card_number": (_card_numbers, True),
        "ip_address": (_ip_addresses, False),
        "phone": (_phones, True),
    }
    numbers: str | None = None
    for kind in PLACEHOLDERS:
        if not getattr(rules, kind):
            continue
        finder, only_prose = finders[kind]
        if only_prose and numbers is None:
            numbers = blank_literals(text)
        for start, end in finder(numbers if only_prose and numbers is not None else text):
            yield kind, start, end


def _emails(text: str) -> Iterator[_Span]:
    for pattern in (_EMAIL, _EMAIL_SPOKEN):
        for match in pattern.finditer(text):
            domain = match[2].lower().replace("．", ".")
            last = re.split(r"[^a-z]+", domain)[-1]
            if (
                match[1].lower() not in _NO_MAILBOX
                and last not in _NO_DOMAIN
                and not _EXAMPLES.search(domain)
            ):
                yield match.span()


def _ip_addresses(text: str) -> Iterator[_Span]:
    for match in _IPV4_IN_ADDRESS.finditer(text):
        if _is_public(match[1]):
            yield match.span(1)
    for match in _IPV4.finditer(text):
        before = text[max(0, match.start() - 40) : match.start()]
        if _is_public(match[1]) and not _NO_ADDRESS_WORDS.search(before):
            numbers = [int(part) for part in match[1].split(".")]
            # Without a word that says so, large numbers only: 5.7.1.1 is a section or a version.
            if match[2] or _ADDRESS_WORDS.search(before) or sum(n >= 32 for n in numbers) >= 2:
                yield match.span(1)
    if "::" in text or text.count(":") >= 7:
        for match in _IPV6.finditer(text):
            if _is_public(match.group()):
                yield match.span()


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if found.version == 6 and found not in _IPV6_IN_USE:
        return False  # dead::beef
    # A network's own address, and a multicast, are of no machine.
    return found.is_global and not found.is_multicast and not address.endswith((".0", "::"))


def _phones(text: str) -> Iterator[_Span]:
    for pattern in (_MOBILE, _LANDLINE, _AMERICAN):
        for match in pattern.finditer(text):
            digits = _digits(match.group())
            fictional = pattern is _AMERICAN and digits[-7:-2] == "55501"
            if not fictional and len(set(digits)) > 2 and _stands_alone(text, *match.span()):
                yield match.span()
    for match in _INTERNATIONAL.finditer(text):
        number = match["number"]
        digits = _digits(number)
        if (
            8 <= len(digits) <= 15
            and _COUNTRY.match(digits)
            and len(set(digits)) > 3
            and not re.search(r"[ .]000(?:[ .]|$)", number)
            and (re.search(r"[ .()-]", number) or _PHONE_WORDS.search(_before(text, match.start())))
            and _stands_alone(text, *match.span())
        ):
            yield match.span()


def _id_numbers(text: str) -> Iterator[_Span]:
    for pattern, valid in (
        (_CHINESE_ID, _is_chinese_id),
        (_HONG_KONG_ID, _is_hong_kong_id),
        (_TAIWAN_ID, _is_taiwan_id),
    ):
        for match in pattern.finditer(text):
            if valid(match.group()):
                yield match.span()
    for pattern in (_SOCIAL_SECURITY, _NATIONAL_INSURANCE):
        for match in pattern.finditer(text):
            if _stands_alone(text, *match.span()):
                yield match.span()


def _card_numbers(text: str) -> Iterator[_Span]:
    for match in _CARD.finditer(text):
        digits = _digits(match.group())
        alone = len(set(digits)) > 2 and _stands_alone(text, *match.span())
        if alone and len(digits) <= 19 and _passes_luhn(digits):
            yield match.span()


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def _before(text: str, start: int) -> str:
    return text[max(0, start - 24) : start]


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a number is no part of a name, a formula, a longer number; nor a quantity."""
    before, after, next_one = text[start - 1 : start], text[end : end + 1], text[end + 1 : end + 2]
    if before and (before in "+#№=/\\_^~.,*-×" or (before.isascii() and before.isalnum())):
        return False
    if before == ":" and text[start - 2 : start - 1].isdigit():
        return False
    if after and (after in "_%" or (after.isascii() and after.isalnum())):
        return False
    if after and after in "-.,/:*^=" and next_one.isdigit():
        return False
    return not (_UNIT.match(text, end) or _OTHER_NUMBERS.search(_before(text, start)))


def _is_chinese_id(number: str) -> bool:
    """GB 11643: region, date of birth, order, and a check digit by ISO 7064 MOD 11-2."""
    if int(number[:2]) not in _CHINESE_PROVINCES:
        return False
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    if born.year < 1880:
        return False
    weighted = sum(int(digit) * (2 ** (17 - i) % 11) for i, digit in enumerate(number[:17]))
    return "10X98765432"[weighted % 11] == number[17].upper()


def _is_hong_kong_id(number: str) -> bool:
    letters, digits, check = _HONG_KONG_ID.match(number).groups()  # type: ignore[union-attr]
    values = [ord(letter) - 55 for letter in letters.rjust(2, "[")]  # a missing letter is 36
    values += [int(digit) for digit in digits]
    weighted = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return (weighted + int(check, 11)) % 11 == 0


def _is_taiwan_id(number: str) -> bool:
    letter = _TAIWAN_LETTERS.index(number[0]) + 10
    values = [letter // 10, letter % 10, *map(int, number[1:])]
    weights = [1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1]
    return sum(v * w for v, w in zip(values, weights, strict=True)) % 10 == 0


def _passes_luhn(digits: str) -> bool:
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + i % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
