"""One small function for each kind of personal data: a text in, the places out. Precision comes before recall.

A problem's numbers must survive. So a number counts only with a check digit, in a form that arithmetic does not have,
or beside a word that says what it is; and never beside an operator.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping

from r1ray.data.privacy import checksums
from r1ray.data.privacy.spans import Span

Detector = Callable[[str], Iterator[Span]]

_BEFORE = r"(?<![\w.,$€£#=*/^×÷<>@+-])"
_AFTER = r"(?![\w@%]|\s?[=*/^×÷<>]|[.,:-]\d)"
# Gates: what every form must contain. They begin with a digit, which is quick to look for; most texts go no further.
_MANY_DIGITS = re.compile(r"\d(?:[-. ()]{0,3}\d){6}")
_ACCOUNT = re.compile(r"\d\d ?[A-Za-z0-9]{4} ?[A-Za-z0-9]{4}")
_LETTERED = re.compile(r"\d\d ?\d\d ?\d\d ?[A-D]\b|\d{7}-?[A-Z]\b|\d\d[A-T]\d\d[A-Z]\d{3}[A-Z]\b")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])")
# 4-4-4-4, Amex's 4-6-5, or no separators at all.
_CARD = re.compile(
    rf"{_BEFORE}(?:\d{{12,19}}|\d{{4}}([ -])\d{{4}}\1\d{{4}}\1\d{{4}}|\d{{4}}([ -])\d{{6}}\2\d{{5}}){_AFTER}"
)
_IBAN = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?![^\W_])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w%]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_VERSION = re.compile(r"(?:version|section|chapter|release|§|\bv)[ .]*$", re.IGNORECASE)
_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,5})?"
_PHONE_FORMS = tuple(
    re.compile(_BEFORE + form + _EXTENSION + _AFTER, re.IGNORECASE)
    for form in (
        r"(?:\+1|001|1)?[-. ]?\([2-9]\d\d\) ?\d{3}[-. ]\d{4}",  # (602)272-9781
        r"(?:\+1|001|1)?[-. ]?[2-9]\d\d([-.])\d{3}\1\d{4}",  # 905-674-3793, 001-253-366-9781
        r"\+[1-9]\d{0,2}(?:[-. ]?\(?\d{1,4}\)?){2,6}",  # +46 (0)8 928 571 38
        r"0[1-9]\d{0,3}(?:([ .])\d{2,4})(?:\1\d{2,4}){1,3}",  # 0490 75 40 81, 03.93.92.16.85
    )
)
_PHONE_LOOSE = re.compile(rf"{_BEFORE}\(?\d{{2,5}}\)?(?:[-. ]?\d{{2,4}}){{1,5}}{_EXTENSION}{_AFTER}", re.IGNORECASE)
_PHONE_CUE = re.compile(
    r"\b(?:phone|telephone|mobile|cell(?:phone)?|fax|tel|desk|call(?:ing)? (?:me|us|him|her|them)?|whatsapp|sms|"
    r"hotline|reach (?:me|us|him|her|them)|dial)\b[^\d+]{0,14}$",
    re.IGNORECASE,
)
_PHONE_CUE_AFTER = re.compile(r"\s*[-(]?\s*(?:office|fax|mobile|cell|home|work)\b", re.IGNORECASE)
_CARD_CUE = re.compile(r"\b(?:card|visa|mastercard|maestro|amex|credit|debit|payment|cc)\b", re.IGNORECASE)
_CARD_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}"  # Discover
    r"|35\d{14}|(?:2131|1800)\d{11}"  # JCB
)
_MAESTRO = re.compile(r"(?:5[0678]|6\d)\d{10,17}")


def _is_formed(value: str) -> bool:
    """For numbers without a check digit: the form is all there is."""
    return bool(value)


_NATIONAL: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    # United States, Social Security number
    (re.compile(rf"{_BEFORE}(?!000|666|9)\d{{3}}-(?!00)\d\d-(?!0000)\d{{4}}{_AFTER}(?!-)"), _is_formed),
    # United Kingdom, National Insurance number
    (
        re.compile(r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]\b"),
        _is_formed,
    ),
    # Spain, DNI and NIE
    (re.compile(r"\b(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]\b"), checksums.dni),
    # Italy, codice fiscale
    (re.compile(r"\b[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]\b"), _is_formed),
    # Brazil, CPF
    (re.compile(rf"{_BEFORE}\d{{3}}\.\d{{3}}\.\d{{3}}-\d\d{_AFTER}"), checksums.cpf),
    # China, resident identity number
    (
        re.compile(rf"{_BEFORE}[1-9]\d{{5}}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{{3}}[\dX]{_AFTER}"),
        checksums.resident_id,
    ),
)
_KEEP = re.compile(r"[^0-9A-Z]")


def emails(text: str) -> Iterator[Span]:
    """`name@host.tld`."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            yield Span(*found.span(), "EMAIL", found[0].casefold())


def credit_cards(text: str) -> Iterator[Span]:
    """Luhn's check digit and an issuer's prefix and length; Maestro's wide ranges only beside a word like `card`."""
    for found in _CARD.finditer(text) if _MANY_DIGITS.search(text) else ():
        digits = _compact(found[0])
        if digits.endswith("0000") or not checksums.luhn(digits):
            continue
        cue = _CARD_CUE.search(text, max(0, found.start() - 60), found.start())
        if _CARD_ISSUERS.fullmatch(digits) or (cue and _MAESTRO.fullmatch(digits)):
            yield Span(*found.span(), "CREDIT_CARD", digits)


def ibans(text: str) -> Iterator[Span]:
    """A country's code and length, and the check digits."""
    for found in _IBAN.finditer(text) if _ACCOUNT.search(text) else ():
        if checksums.iban(value := _compact(found[0])):
            yield Span(*found.span(), "IBAN", value)


def ip_addresses(text: str) -> Iterator[Span]:
    """Addresses of the public internet; private ones point at nobody, and `1.2.3.4` is rather a section."""
    if text.count(".") >= 3:
        for found in _IPV4.finditer(text):
            large = sum(int(part) > 9 for part in found[0].split("."))
            if (
                large >= 2
                and _is_public(found[0])
                and not _VERSION.search(text, max(0, found.start() - 10), found.start())
            ):
                yield Span(*found.span(), "IP", found[0])
    if text.count(":") >= 2:
        for found in _IPV6.finditer(text):
            groups = [group for group in found[0].split(":") if group]
            if len(groups) >= 3 and max(map(len, groups)) >= 3 and _is_public(found[0]):
                yield Span(*found.span(), "IP", found[0].casefold())


def phones(text: str) -> Iterator[Span]:
    """Forms that only telephone numbers have; any grouped number of 7 to 15 digits beside a word like `phone`."""
    if not _MANY_DIGITS.search(text):
        return
    for form in _PHONE_FORMS:
        for found in form.finditer(text):
            digits = _compact(found[0])
            if 8 <= len(digits) <= 20 and len(set(digits)) > 2:
                yield Span(*found.span(), "PHONE", digits)
    for found in _PHONE_LOOSE.finditer(text):
        digits = _compact(found[0].casefold().partition("x")[0])
        start, end = found.span()
        cue = _PHONE_CUE.search(text[max(0, start - 40) : start]) or _PHONE_CUE_AFTER.match(text, end)
        if 7 <= len(digits) <= 15 and cue:
            yield Span(start, end, "PHONE", digits)


def national_ids(text: str) -> Iterator[Span]:
    """Identity numbers of the United States, the United Kingdom, Spain, Italy, Brazil and China."""
    if not (_MANY_DIGITS.search(text) or _LETTERED.search(text)):
        return
    for form, is_valid in _NATIONAL:
        for found in form.finditer(text):
            if is_valid(value := _compact(found[0])):
                yield Span(*found.span(), "NATIONAL_ID", value)


DETECTORS: Mapping[str, Detector] = {
    "email": emails,
    "credit_card": credit_cards,
    "iban": ibans,
    "ip": ip_addresses,
    "national_id": national_ids,
    "phone": phones,
}


def _compact(text: str) -> str:
    return _KEEP.sub("", text.upper())


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_private or parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local)
