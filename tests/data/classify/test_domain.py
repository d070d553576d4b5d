import numpy as np
import pytest

from r1ray.config.classify import DomainConfig
from r1ray.data.classify.classifier import load_classifier
from r1ray.data.classify.domain import Domain, domains_of, judge_domain, train_domain
from r1ray.data.classify.features import Ngrams
from r1ray.errors import ConfigError
from tests.data.classify.helpers import problems, prose

TEXTS = {
    "medical": "The patients were randomized to either treatment or placebo. Mortality after twelve months was "
    "lower in the treatment group, and adverse symptoms such as chronic infection were rare in this "
    "cohort.",
    "finance": "Revenue for the fiscal year ended September 30 increased to $1,452.4 million, while operating "
    "expenses and depreciation decreased. Cash and total assets are shown in the consolidated balance "
    "sheet below.",
    "law": "This Agreement shall be governed by the laws of the State of New York. Neither party shall assign "
    "its rights or obligations hereunder without the prior written consent of the other party, except "
    "as provided herein.",
    "mathematics": "Anna has 24 apples and gives half of them to Ben. How many apples does she have left? She gives "
    "away 24 / 2 = 12 apples, so she has 24 - 12 = 12 apples left. The answer is 12.",
    "code": "def load(path):\n    with open(path) as file:\n        return [json.loads(line) for line in file]\n\n"
    "class Reader:\n    def __init__(self, path):\n        self.path = path\n",
    "general": "The village lies on the southern shore of the lake. Its church was built in the twelfth century, "
    "and every summer thousands of visitors come to see the old market and the painted houses.",
}


@pytest.mark.parametrize("domain", TEXTS)
def test_the_shipped_classifier_knows_a_plain_example_of_each_domain(domain):
    assert domains_of([TEXTS[domain]], DomainConfig())[0].name == domain


def test_generated_problems_are_mathematics():
    names = [found.name for found in domains_of(problems(50, seed=3), DomainConfig())]
    assert names.count("mathematics") >= 48


def test_an_unsure_model_says_general():
    sure, unsure = (domains_of([TEXTS["law"]], DomainConfig(threshold=threshold))[0] for threshold in (0.5, 1.0))
    assert (sure.name, unsure.name) == ("law", "general")
    assert sure.score == unsure.score < 1


def test_only_domains_that_are_kept_pass():
    config = DomainConfig(keep=("mathematics", "code"))
    assert judge_domain(Domain("code", 0.9), config) is None
    drop = judge_domain(Domain("law", 0.75), config)
    assert drop is not None and (drop.reason, drop.detail) == ("domain", "law (0.75)")
    assert judge_domain(Domain("law", 0.75), DomainConfig()) is None


def test_domains_of_the_users_own_are_learned(tmp_path):
    recipes = [
        f"Stir {n} eggs with flour and butter, then bake the dough in the oven for {n} minutes." for n in range(40)
    ]
    model = train_domain({"cooking": recipes, "general": prose(40)}, ngrams=Ngrams(bits=12), lexicons={})
    assert model.labels == ("general", "cooking")
    model.save(tmp_path / "kitchen.npz")
    config = DomainConfig(model=str(tmp_path / "kitchen.npz"), keep=("cooking",))
    found = domains_of(["Bake the butter dough in the oven, then stir the eggs.", *prose(1, seed=8)], config)
    assert [item.name for item in found] == ["cooking", "general"]


def test_a_file_keeps_the_order_of_word_lists(tmp_path):
    """Each list's weight is a column, found by its place."""
    texts = {"z": ["zeta one two"] * 5, "a": ["alpha one two"] * 5}
    lexicons = {"z": frozenset({"zeta"}), "a": frozenset({"alpha"})}
    model = train_domain(texts, ngrams=Ngrams(bits=4, chars=(), words=()), lexicons=lexicons)
    model.save(tmp_path / "lists.npz")
    read = load_classifier(tmp_path / "lists.npz")
    np.testing.assert_allclose(read.probabilities(["zeta"]), model.probabilities(["zeta"]), atol=0.01)
    assert model.labels[model.probabilities(["zeta"]).argmax()] == "z"


def test_an_unknown_domain_is_refused():
    with pytest.raises(ConfigError, match=r"domain\.keep.*mathematics"):
        DomainConfig(keep=("maths",))
