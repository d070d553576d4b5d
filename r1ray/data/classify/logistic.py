"""Multinomial logistic regression on sparse or dense vectors: convex, so the same data always give the same model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from r1ray.errors import DataError

Floats = NDArray[np.float64]


def fit(
    vectors: Any, labels: Sequence[int], classes: int, *, l2: float = 1e-5, steps: int = 200
) -> tuple[Floats, Floats]:
    """Weights [C, D] and biases [C] that minimise the mean cross-entropy plus ½ l2 |W|². Every class counts as much.

    Args:
        vectors: [N, D], CSR or dense.
        labels: N class numbers.
        classes: C.
        l2: penalty.
        steps: of L-BFGS, at most.

    Raises:
        DataError: a class has no example.
    """
    target = np.asarray(labels)
    sizes = np.bincount(target, minlength=classes)
    if len(sizes) > classes or not sizes.all():
        raise DataError(f"Every class needs examples; {classes} classes have {sizes.tolist()}.")
    rows, width = vectors.shape
    weight_of = (rows / classes / sizes)[target] / rows
    transposed = vectors.T.tocsr() if hasattr(vectors, "tocsr") else vectors.T
    one_hot = np.eye(classes)[target]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, bias = flat[:-classes].reshape(width, classes), flat[-classes:]
        logits = np.asarray(vectors @ weights) + bias
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        error = (np.exp(logits - total) - one_hot) * weight_of[:, None]
        nll = float((weight_of * (total[:, 0] - logits[np.arange(rows), target])).sum())
        gradient = np.asarray(transposed @ error) + l2 * weights
        return nll + l2 / 2 * float((weights**2).sum()), np.concatenate([gradient.ravel(), error.sum(axis=0)])

    start = np.zeros(width * classes + classes)
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxfun": 2 * steps}
    )
    return found.x[:-classes].reshape(width, classes).T.copy(), found.x[-classes:]


def probabilities(vectors: Any, weights: Any, bias: Any) -> Floats:
    """Softmax of `vectors @ weights.T + bias`, [N, C]."""
    logits = np.asarray(vectors @ np.asarray(weights, np.float64).T) + bias
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = exponents / exponents.sum(axis=1, keepdims=True)
    return found
