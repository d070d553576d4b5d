"""The value head starts at zero and fits what its trunk tells it."""

import torch

from r1ray.models.value_head import ValueHead


def test_first_values_are_exactly_zero_whatever_comes_in() -> None:
    values = ValueHead(16)(100 * torch.randn(5, 16))
    assert values.shape == (5,) and not values.any()


def test_output_layer_moves_first_and_the_hidden_layer_follows() -> None:
    head, hidden = ValueHead(16), torch.randn(8, 16)
    head(hidden).sum().backward()
    assert head.out.weight.grad is not None and head.out.weight.grad.any()
    with torch.no_grad():
        head.out.weight -= 0.1 * head.out.weight.grad
    head(hidden).sum().backward()
    assert head.up.weight.grad is not None and head.up.weight.grad.any()


def test_scale_of_the_trunk_does_not_matter() -> None:
    torch.manual_seed(0)
    head, hidden = ValueHead(16), torch.randn(8, 16)
    torch.nn.init.normal_(head.out.weight)
    torch.testing.assert_close(head(1000 * hidden), head(hidden), rtol=1e-3, atol=1e-4)


def test_returns_are_learned_over_a_still_trunk() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(256, 16)
    returns = (hidden[:, 0] > 0).float()  # as an outcome reward is: right or wrong
    head = ValueHead(16, trunk_gradient=0.0)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    for _ in range(200):
        loss = (head(hidden) - returns).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # the best constant, 1/2, leaves 0.25


def test_head_cast_to_bfloat16_still_answers_in_float32() -> None:
    head = ValueHead(16).to(torch.bfloat16)
    assert head(torch.randn(3, 16, dtype=torch.bfloat16)).dtype == torch.float32
