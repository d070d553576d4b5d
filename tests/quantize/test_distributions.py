"""Distance between two models' next-token distributions."""

import copy

import pytest
import torch

from r1ray.data.encoding import TokenRow
from r1ray.quantize.bench import Bench
from r1ray.quantize.distributions import batches, compare


def test_a_model_is_at_no_distance_from_itself(bench: Bench) -> None:
    network = bench.network()
    found = compare(network, network, bench.solutions(4))
    assert found.mean_kl == pytest.approx(0, abs=1e-6)
    assert found.agreement == 1
    assert found.perplexity == found.perplexity_parent


def test_distance_is_that_of_the_definition_whatever_shares_the_batch(bench: Bench) -> None:
    parent, child = bench.network(), copy.deepcopy(bench.network())
    with torch.no_grad():
        child.model.layers[0].mlp.down_proj.weight *= 0.8
    rows = bench.solutions(4)
    kls, nlls = [], []
    for row in rows:
        ids = torch.tensor([row.token_ids])
        with torch.no_grad():
            theirs, ours = (model(ids).logits[0].log_softmax(-1) for model in (parent, child))
        for t, learned in enumerate(row.response_mask):
            if learned:
                kls.append(float((theirs[t - 1].exp() * (theirs[t - 1] - ours[t - 1])).sum()))
                nlls.append(-float(ours[t - 1, row.token_ids[t]]))
    found = compare(parent, child, rows)
    assert found.tokens == len(kls)
    assert found.mean_kl == pytest.approx(sum(kls) / len(kls), rel=1e-3)
    assert found.max_kl == pytest.approx(max(kls), rel=1e-3)
    assert found.perplexity == pytest.approx(torch.tensor(nlls).mean().exp().item(), rel=1e-4)
    assert compare(parent, child, rows, tokens_per_pass=1).mean_kl == pytest.approx(found.mean_kl, rel=1e-3)


def test_batches_keep_to_their_budget_and_lose_no_row() -> None:
    rows = [TokenRow(token_ids=[1] * n, response_mask=[False] + [True] * (n - 1)) for n in (5, 40, 7, 12, 3, 9)]
    found = list(batches(rows, 24))
    assert sorted(len(row.token_ids) for batch in found for row in batch) == [3, 5, 7, 9, 12, 40]
    assert all(len(batch) == 1 or len(batch) * max(len(r.token_ids) for r in batch) <= 24 for batch in found)
