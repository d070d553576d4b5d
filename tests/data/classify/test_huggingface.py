import numpy as np
import torch
from transformers import LlamaForSequenceClassification

from r1ray.config.classify import NoiseConfig
from r1ray.data.classify.classifier import train_on_embeddings
from r1ray.data.classify.huggingface import HuggingFaceClassifier
from r1ray.data.classify.noise import judge_noise
from r1ray.models.embedding import Embedder
from tests.data.classify.helpers import problems, prose
from tests.tiny import make_tiny_policy, make_tiny_tokenizer, tiny_config


def make_checkpoint(path):
    config = tiny_config()
    config.id2label = {0: "fine", 1: "junk", 2: "odd"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForSequenceClassification(config)
        for weight in model.parameters():
            weight.data.mul_(5)
    model.save_pretrained(path)
    make_tiny_tokenizer().save_pretrained(path)
    return path


def test_a_checkpoint_takes_the_place_of_our_classifier(tmp_path):
    path = str(make_checkpoint(tmp_path))
    model = HuggingFaceClassifier(path, batch_tokens=600)
    assert list(model.labels) == ["fine", "junk", "odd"]
    texts = prose(8)
    together = model.probabilities(texts)
    alone = np.concatenate([model.probabilities([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    threshold = float(np.median(together[:, 1]))
    verdicts = judge_noise(texts, NoiseConfig(model=path, label="junk", threshold=threshold))
    assert [verdict is not None for verdict in verdicts] == (together[:, 1] >= threshold).tolist()


def test_domains_are_learned_from_a_policys_hidden_states(tmp_path):
    embed = Embedder(str(make_tiny_policy(tmp_path)))
    texts, labels = [*prose(40), *problems(40)], ["prose"] * 40 + ["problem"] * 40
    model = train_on_embeddings(texts, labels, embed)
    scores = model.probabilities([*prose(20, seed=7), *problems(20, seed=7)])
    assert model.labels == ("problem", "prose")
    assert (scores.argmax(axis=1) == [1] * 20 + [0] * 20).mean() > 0.9
