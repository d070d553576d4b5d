import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from r1ray.data.classify.logistic import fit, probabilities
from r1ray.errors import DataError


def blobs(seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, 120)
    return draw.normal(size=(120, 4)) + np.eye(3, 4)[labels], labels


def test_the_minimum_is_one_in_every_direction():
    vectors, labels = blobs()
    weights, bias = fit(vectors, labels, 3, l2=0.1)
    share = (1 / 3 / np.bincount(labels))[labels]

    def loss(flat):
        moved, shifted = flat[:12].reshape(3, 4), flat[12:]
        chosen = probabilities(vectors, moved, shifted)[np.arange(120), labels]
        return -(share * np.log(chosen)).sum() + 0.05 * (moved**2).sum()

    gradient = scipy.optimize.approx_fprime(np.concatenate([weights.ravel(), bias]), loss, 1e-6)
    assert np.abs(gradient).max() < 1e-4


def test_sparse_and_dense_vectors_give_the_same_model_and_twice_the_same():
    vectors, labels = blobs()
    dense, sparse, again = (fit(x, labels, 3, l2=0.01) for x in (vectors, scipy.sparse.csr_array(vectors), vectors))
    np.testing.assert_allclose(dense[0], sparse[0], atol=1e-4)
    assert (dense[0] == again[0]).all()


def test_a_rare_class_counts_as_much_as_a_common_one():
    """One feature that says nothing: each class then gets the same probability, whatever its size."""
    labels = [0] * 90 + [1] * 10
    weights, bias = fit(np.ones((100, 1)), labels, 2, l2=1e-3)
    np.testing.assert_allclose(probabilities(np.ones((1, 1)), weights, bias), [[0.5, 0.5]], atol=1e-3)


def test_a_class_without_examples_is_refused():
    with pytest.raises(DataError, match=r"3 classes have \[1, 1, 0\]"):
        fit(np.ones((2, 1)), [0, 1], 3)
