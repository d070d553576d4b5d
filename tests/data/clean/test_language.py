import pytest

from r1ray.data.clean.language import UNKNOWN, identify, judge_language

SENTENCES = {
    "en": "She has three apples and buys two more at the market. How many apples does she have now?",
    "de": "Sie hat drei Äpfel und kauft zwei weitere auf dem Markt. Wie viele Äpfel hat sie jetzt nach dem Einkauf?",
    "fr": "Elle a trois pommes et en achète deux autres au marché. Combien de pommes la fille a dans son sac?",
    "es": "Ella tiene tres manzanas y compra dos más en el mercado. ¿Cuántas manzanas hay en la cesta de la niña?",
    "it": "Lei ha tre mele e ne compra altre due al mercato. Quante mele ci sono nel cesto della ragazza?",
    "pt": "Ela tem três maçãs e compra mais duas no mercado. Quantas maçãs ela tem agora? Não são poucas",
    "nl": "Zij heeft drie appels en koopt er nog twee op de markt. Hoeveel appels heeft zij nu in het mandje van haar?",
    "sv": "Hon har tre äpplen och köper två till på torget. Hur många äpplen har hon nu, och vad är i korgen?",
    "pl": "Ona ma trzy jabłka i kupuje jeszcze dwa na targu. Ile jabłek jest w koszyku i czy to jest dużo?",
    "tr": "Onun üç elması var ve pazardan iki tane daha alıyor. Bu sepette kaç elma var ve bu çok mu?",
    "zh": "她有三个苹果，又在市场上买了两个。她现在有多少个苹果？",
    "ja": "彼女はりんごを三個持っていて、市場でさらに二個買いました。",
    "ko": "그녀는 사과 세 개를 가지고 있고 시장에서 두 개를 더 샀습니다.",
    "ru": "У неё три яблока, и она покупает ещё два на рынке.",
    "uk": "У неї три яблука, і вона купує ще два на ринку. Скільки їх є?",
    "ar": "لديها ثلاث تفاحات وتشتري اثنتين من السوق",
    "el": "Έχει τρία μήλα και αγοράζει άλλα δύο στην αγορά.",
    "hi": "उसके पास तीन सेब हैं और वह बाज़ार से दो और खरीदती है।",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_of_its_language(code):
    found = identify(SENTENCES[code])
    assert found.code == code
    assert 0.3 < found.score <= 1


@pytest.mark.parametrize("text", ["12 + 5 = 17", "", "α + β = γ", "x", "f(x) = sin x dx", "print(foo.bar[baz])"])
def test_formulas_have_no_language(text):
    assert identify(text).code == UNKNOWN


def test_greek_letters_in_an_english_text_leave_it_english():
    assert identify("Let α and β be the roots of the polynomial, and find the sum of them: α + β.").code == "en"


def test_only_a_row_of_a_known_other_language_is_dropped():
    verdict = judge_language(SENTENCES["zh"], ("en",), 0.5)
    assert verdict is not None
    assert (verdict.stage, verdict.reason, verdict.detail[:2]) == ("clean", "language", "zh")
    assert judge_language(SENTENCES["en"], ("en",), 0.5) is None
    assert judge_language("12 + 5 = 17", ("en",), 0.5) is None
    assert judge_language(SENTENCES["zh"], (), 0.5) is None
    assert judge_language(SENTENCES["de"], ("en",), 1.01) is None  # not certain enough
