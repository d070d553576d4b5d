"""Language by script and function words: small, without a model, and silent where a text has too few words to tell.

Half of running text in any language is a few dozen function words (Zipf); for languages of the Latin alphabet they
decide, for the others the script does. `12 + 5 = 17` has no language, and is not guessed one.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from r1ray.data.verdict import Drop

UNKNOWN = "und"
"""ISO 639-2's code for undetermined."""

_SAMPLE = 2000
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NOT_LATIN = re.compile("[\u0250-\U0010ffff]{2,}")
_LEAST_WORDS = 5
_FUNCTION_WORDS = {
    "en": "the of and to in is that for it with as was on are be by this at from have has not or an which how many did "
    "does do his her they he she if then each were will what there their more than when you your we can been",
    "de": "der die das und ist nicht ein eine zu den mit von auf für im dem sich des auch es an werden aus er hat dass "
    "sie nach wird bei einer um am sind noch wie einem über so zum war haben nur oder aber vor zur bis mehr durch wie "
    "viele wenn ich wir",
    "fr": "le la les de des et est un une en du que qui dans pour pas sur au plus par avec ce il sont se ne cette ou "
    "elle son nous vous mais été être aux d'une ont leur ses comme fait si c'est combien chaque je",
    "es": "el la los las de que y en un una es se por con para no del al lo como más su pero sus le ya o este ha sí "
    "porque esta entre cuando muy sin sobre también me hasta hay donde cuántos cada son fue",
    "it": "il la le di che e un una è per non con del della si in sono da al dei come più lo ma nel gli anche alla ha "
    "delle questo o se ci i ed dal sul suo essere dalla quanti ogni stato",
    "pt": "o a os as de que e do da em um uma para com não por se na no mais dos das como mas foi ao ele seu sua ou "
    "quando muito nos já eu também só pelo pela até isso ela entre quantos cada são está",
    "nl": "de het een en van is dat in op te zijn met voor niet die er aan om ook als bij maar dan of door naar wordt "
    "hij ze wel nog uit werd kan heeft hebben deze over hoe veel elke geen",
    "sv": "och att det som en är på för med den av inte till ett om har de var jag men så sig från vi kan när han hon "
    "eller vid efter hur många varje skulle finns",
    "da": "og at det er en på til af den for med ikke de som der et har jeg var men han fra ved kan vi så om eller "
    "efter hvor mange hver blev skal",
    "fi": "ja on ei se että hän oli ovat kun mutta niin kuin joka myös tai sen ole hänen mitä jos vain ne olla kuinka "
    "monta sitä mukaan",
    "pl": "i w nie na się z że do jest o to jak co ale od za po są tak jego przez być dla ma czy może tego ile każdy "
    "oraz który która",
    "cs": "a se je na v že to s z do o i jako by ale za jsem pro byl od po které tak který jeho není nebo kolik každý "
    "jsou být",
    "tr": "ve bir bu için ile da de ne çok daha kadar gibi olarak olan var ama sonra her kaç mi değil en o ben veya",
    "id": "yang dan di dengan untuk ini dari itu pada tidak adalah ke dalam akan oleh saya juga atau sebagai bisa "
    "berapa setiap ada mereka telah",
    "vi": "và của là có không cho một được trong các người những với để này đã về khi từ như bao nhiêu mỗi cũng",
    "ro": "și de la în a este cu pe un o care nu din pentru să mai sunt ca ce se au dar prin sau fost câte fiecare",
    "hu": "a az és hogy nem egy is van de meg ez volt csak már el mint vagy ki még azt ha hány minden",
}  # fmt: skip
_LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _words in _FUNCTION_WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGES_OF.setdefault(_word, []).append(_language)
_SCRIPTS = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "ARABIC": "ar", "HEBREW": "he", "GREEK": "el",
    "DEVANAGARI": "hi", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "THAI": "th", "GEORGIAN": "ka",
    "ARMENIAN": "hy", "CYRILLIC": "ru",
}  # fmt: skip
_UKRAINIAN = frozenset("іїєґ")
_PERSIAN = frozenset("پچژگ")


@dataclass(frozen=True, slots=True)
class Language:
    """What a text seems to be written in."""

    code: str
    """ISO 639-1, or `und`."""
    score: float
    """Share of the evidence for it, from 0 to 1."""


def identify(text: str) -> Language:
    """The language of the first few thousand characters."""
    sample = text[:_SAMPLE].casefold()
    if not sample.isascii():
        by_script = _by_script(sample)
        if by_script.code != UNKNOWN:
            return by_script
    words = _WORD.findall(sample.replace("’", "'"))
    if len(words) < _LEAST_WORDS:
        return Language(UNKNOWN, 0.0)
    votes: defaultdict[str, float] = defaultdict(float)
    for word, count in Counter(words).items():
        languages = _LANGUAGES_OF.get(word, ())
        for language in languages:
            votes[language] += count / len(languages)
    evidence = sum(votes.values())
    if evidence < max(2, 0.08 * len(words)):
        return Language(UNKNOWN, 0.0)
    code = min(votes, key=lambda language: (-votes[language], language))
    return Language(code, votes[code] / evidence)


def judge_language(text: str, languages: Collection[str], least_score: float) -> Drop | None:
    """A dropped row where the language is known with this certainty, and not one of these; nothing is asked of none."""
    if not languages:
        return None
    found = identify(text)
    if found.code == UNKNOWN or found.code in languages or found.score < least_score:
        return None
    return Drop(stage="clean", reason="language", detail=f"{found.code} ({found.score:.2f})")


def _by_script(sample: str) -> Language:
    """The language of a script that has one, if most letters are of it. Greek letters alone are mathematics."""
    letters = sum(map(str.isalpha, sample))
    others = [char for char in "".join(_NOT_LATIN.findall(sample)) if char.isalpha()]
    if len(others) < max(3, 0.5 * letters):
        return Language(UNKNOWN, 0.0)
    scripts = Counter(map(_script, others))
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > 0.1 * len(others):
        scripts["HIRAGANA"] += scripts.pop("KATAKANA", 0) + scripts.pop("CJK", 0)  # kanji among kana
    script, count = max(scripts.items(), key=lambda item: (item[1], item[0]))
    if script not in _SCRIPTS or count < max(3, 0.5 * letters):
        return Language(UNKNOWN, 0.0)
    code = _SCRIPTS[script]
    if code == "ru" and _UKRAINIAN.intersection(sample):
        code = "uk"
    elif code == "ar" and _PERSIAN.intersection(sample):
        code = "fa"
    return Language(code, count / letters)


def _script(char: str) -> str:
    return unicodedata.name(char, "").split(" ", 1)[0].split("-", 1)[0]
