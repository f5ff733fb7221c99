"""The language a feed declares, as a BCP 47 tag: `en-us`, `en_US`, `eng` and `English` are languages too."""

from __future__ import annotations

import re

_TAG = re.compile(r"[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?:-[a-z0-9]{5,8})*", re.IGNORECASE)

# ISO 639-1: its three-letter codes and its names, in English and its own language.
_LANGUAGES = {
    "af": "afr afrikaans", "ar": "ara arabic العربية", "bg": "bul bulgarian български",
    "bn": "ben bengali", "ca": "cat catalan català", "cs": "ces cze czech čeština",
    "cy": "cym wel welsh cymraeg", "da": "dan danish dansk", "de": "deu ger german deutsch",
    "el": "ell gre greek ελληνικά", "en": "eng english", "es": "spa spanish español espanol castellano",
    "et": "est estonian eesti", "eu": "eus baq basque euskara", "fa": "fas per persian farsi فارسی",
    "fi": "fin finnish suomi", "fr": "fra fre french français francais", "ga": "gle irish gaeilge",
    "gl": "glg galician galego", "he": "heb iw hebrew עברית", "hi": "hin hindi हिन्दी",
    "hr": "hrv croatian hrvatski", "hu": "hun hungarian magyar", "id": "ind in indonesian",
    "is": "isl ice icelandic íslenska", "it": "ita italian italiano", "ja": "jpn japanese 日本語",
    "ko": "kor korean 한국어", "lt": "lit lithuanian", "lv": "lav latvian", "mk": "mkd mac macedonian",
    "ms": "msa may malay", "nl": "nld dut dutch nederlands", "nb": "nob bokmål", "nn": "nno nynorsk",
    "no": "nor norwegian norsk", "pl": "pol polish polski", "pt": "por portuguese português portugues",
    "ro": "ron rum romanian română", "ru": "rus russian русский", "sk": "slk slo slovak slovenčina",
    "sl": "slv slovenian slovenščina", "sq": "sqi alb albanian", "sr": "srp serbian српски",
    "sv": "swe swedish svenska", "sw": "swa swahili", "ta": "tam tamil தமிழ்", "te": "tel telugu",
    "th": "tha thai ไทย", "tr": "tur turkish türkçe", "uk": "ukr ukrainian українська", "ur": "urd urdu",
    "vi": "vie vietnamese", "zh": "zho chi chinese mandarin 中文",
}  # fmt: skip
_CODE_OF = {name: code for code, names in _LANGUAGES.items() for name in names.split()}
_MAX_NAME = 60


def language_tag(text: str | None) -> str | None:
    """The tag in its usual letters (`en-US`, `zh-Hant`), null for what names no language."""
    text = (text or "").strip()
    if not text or len(text) > _MAX_NAME:
        return None
    name = text.split("(")[0].split(",")[0].strip().lower()
    if name in _CODE_OF:
        return _CODE_OF[name]
    tag = name.replace("_", "-")
    if not _TAG.fullmatch(tag):
        return None
    language, *rest = tag.split("-")
    return "-".join([_CODE_OF.get(language, language), *map(_subtag, rest)])


def _subtag(part: str) -> str:
    if len(part) == 4 and part.isalpha():
        return part.title()  # script
    return part.upper() if len(part) == 2 else part  # region
