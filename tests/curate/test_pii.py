from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.curate.pii import PLACEHOLDERS, PiiRules, mask, mask_sample
from dsvl_data.sample import Image, Origin, Provenance, Sample, Text

RULES = PiiRules()
CARDS = PiiRules(card_number=True)


def chinese_id(first: str) -> str:
    weighted = sum(int(digit) * (2 ** (17 - i) % 11) for i, digit in enumerate(first))
    return first + "10X98765432"[weighted % 11]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to anna.lee+news@mail.kettle.org today.", "Write to [EMAIL] today."),
        ("邮箱：zhang_wei@qq.com。", "邮箱：[EMAIL]。"),
        ("联系人zhang@163.com，谢谢", "联系人[EMAIL]，谢谢"),
        ("[me](mailto:me@kettle.io)", "[me](mailto:[EMAIL])"),
        ("# author: <a.b@kettle.co.uk>", "# author: <[EMAIL]>"),
        ("anna [at] kettle [dot] org", "[EMAIL]"),
        ("anna (at) kettle.org", "[EMAIL]"),
        ("ssh from 93.184.216.34 port 22", "ssh from [IP_ADDRESS] port 22"),
        ("93.184.216.34 - - [12/Oct/2020] GET /", "[IP_ADDRESS] - - [12/Oct/2020] GET /"),
        ("服务器地址是8.8.4.4。", "服务器地址是[IP_ADDRESS]。"),
        ("see http://93.184.216.34:8080/x", "see http://[IP_ADDRESS]:8080/x"),
        ("2606:2800:220:1:248:1893:25c8:1946 answered", "[IP_ADDRESS] answered"),
        ("at 2a00:1450:4001:81b::200e now", "at [IP_ADDRESS] now"),
        ("手机：13912345678，", "手机：[PHONE]，"),
        ("打电话给我13912345678", "打电话给我[PHONE]"),
        ("手机 139 1234 5678", "手机 [PHONE]"),
        ("+86 139-1234-5678", "[PHONE]"),
        ("电话：010-65529988", "电话：[PHONE]"),
        ("电话(0571)87654321转802", "电话[PHONE]"),
        ("传真 021-6552 9988", "传真 [PHONE]"),
        ("Call (212) 736-5000 now", "Call [PHONE] now"),
        ("Call 1-212-736-5000.", "Call [PHONE]."),
        ("Tel. +44 20 7946 1234", "Tel. [PHONE]"),
        ("Tel: +442079461234", "Tel: [PHONE]"),
        ("Büro: +49 (0)30 901820", "Büro: [PHONE]"),
        (f"身份证号：{chinese_id('11010519491231002')}", "身份证号：[ID_NUMBER]"),
        (f"号码{chinese_id('44052418800101001')}的居民", "号码[ID_NUMBER]的居民"),
        ("HKID A123456(3)", "HKID [ID_NUMBER]"),
        ("身分證字號 A123456789", "身分證字號 [ID_NUMBER]"),
        ("SSN 219-09-9998", "SSN [ID_NUMBER]"),
        ("NI number AB 12 34 56 C", "NI number [ID_NUMBER]"),
    ],
)
def test_personal_data_is_masked(text: str, masked: str) -> None:
    assert mask(text, RULES)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        # e-mail
        "write to anna@example.org, or to root@localhost",
        "git clone git@github.com:kettle/spout.git",
        "the picture logo@2x.png, the unit getty@tty1.service",
        "@app.route and lodash@4.17.21 and a@b",
        # IP addresses
        "version 4.19.128.1 of the kernel; Chrome/120.0.6099.109",
        "see section 5.7.1.1 and 5.10.12.2",
        "版本 93.184.216.34",
        "the gateway is 192.168.1.1, the host 10.0.0.5, myself 127.0.0.1",
        "an address for examples: 192.0.2.44, 203.0.113.9, 2001:db8::1",
        "300.184.216.34 is none",
        "netmask 255.255.255.0 of the network 93.184.216.0",
        "std::vector, dead::beef, 12:30:45, 00:1a:2b:3c:4d:5e",
        "1.3.6.1.4.1.311.21.8",
        # telephone numbers
        "ISBN 978-7-111-12345-6, ISBN 0-306-40615-2, ISBN 7 111 12345 6",
        "ISSN 0317-8471, doi:10.1038/nphys1170, arXiv:2112.11446",
        "on 2023-10-12 at 10:30, from 1914-1918 and 2019-2020",
        "2023-10-12T10:30:00.123456 and 20231012103000",
        "a population of 13912345678人, 13912345678 bytes",
        "订单号 13912345678",
        "order no. 13912345678 shipped",
        "0.13912345678 and 3.13912345678 and 13912345678.5",
        "the time 1700000000, in milliseconds 1700000000000",
        "pi is 3.14159265358979",
        "call 555-0123 or (212) 555-0123",
        "+1000000000 or +12 000 000 people",
        "x+13912345678=y, x=13912345678",
        "$a = 13912345678$ and \\(13912345678\\)",
        "```\nn = 13912345678\n```",
        "`13912345678`",
        "https://shop.kettle.net/item/13912345678",
        "sha 1391234567813912345678139123456781391234",
        "model SM-13912345678-X, part 139-1234-5678-90",
        "1,391,234,567,8",
        "11111111111 and 13333333333",
        "第100-200页，共300页",
        # identity numbers
        f"not valid: {chinese_id('11010519491231002')[:-1]}0",
        "110105194913310020 has a 13th month, 990105194912310022 no region",
        "A123456788, A123456(4)",
        "000-12-3456, 666-12-3456, 123-00-4567",
        "4111 1111 1111 1111",
    ],
)  # fmt: skip
def test_what_only_looks_so_stays(text: str) -> None:
    assert mask(text, RULES) == (text, {})


def test_bank_cards_are_masked_where_asked_and_when_the_check_digit_holds() -> None:
    assert mask("card 4111 1111 1111 1111", CARDS)[0] == "card 4111 1111 1111 1111"  # no card has
    assert mask("card 4539 5787 6362 1486", CARDS)[0] == "card [CARD_NUMBER]"
    assert mask("card 4539578763621486", CARDS)[0] == "card [CARD_NUMBER]"
    assert mask("card 3782-822463-10005", CARDS)[0] == "card [CARD_NUMBER]"
    assert mask("card 4539 5787 6362 1487", CARDS)[1] == {}
    assert mask("card 4539 5787 6362 1486", RULES)[1] == {}


def test_kinds_are_counted_and_can_be_turned_off() -> None:
    text = "a@kettle.org, b@kettle.org, 13912345678"
    assert mask(text, RULES)[1] == {"email": 2, "phone": 1}
    assert mask(text, PiiRules(email=False))[1] == {"phone": 1}


def test_masking_twice_changes_nothing() -> None:
    text = "a@kettle.org 13912345678 93.184.216.34 A123456(3)"
    once, counts = mask(text, RULES)
    assert len(counts) == 4
    assert mask(once, RULES) == (once, {})


def sample(category: str) -> Sample:
    return Sample(
        "k",
        "d",
        category,
        (Text("a@kettle.org"), Image(b"", "png", 1, 1), Text("x")),
        "en",
        Origin("s", "u", "CC0-1.0"),
        Provenance("p", "1"),
    )


def test_a_text_that_its_image_shows_is_left_alone() -> None:
    masked, counts = mask_sample(sample("text"), RULES)
    assert (masked.text, counts) == ("[EMAIL]\nx", {"email": 1})
    page = sample("document_ocr")
    assert mask_sample(page, RULES) == (page, {})


@given(st.text(alphabet="1390 -.@:+()a/[]$`第A", max_size=60))
def test_only_finds_change(text: str) -> None:
    masked, counts = mask(text, CARDS)
    assert sum(masked.count(mark) for mark in PLACEHOLDERS.values()) == sum(counts.values())
    if not counts:
        assert masked == text


@pytest.mark.parametrize(
    "unit",
    [
        "a@",
        "a.",
        "1.",
        "1-",
        "139 ",
        "::",
        "\\[",
        "$1",
        "<table",
        "`a",
        "(212) ",
        "+1 2",
        "a [at] ",
    ],
)
def test_hostile_texts_take_linear_time(unit: str) -> None:
    started = time.process_time()
    mask(unit * (200_000 // len(unit)), CARDS)
    assert time.process_time() - started < 5
