from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from serab_lib.evaluation import linear_discriminant
from serab_lib.evaluation.linear_discriminant import LinearDiscriminant
from serab_lib.evaluation.quadratic_discriminant import compute_log_posteriors, iterate_spreads


class QuadraticDiscriminant:
    """One setting of QDA, called as scikit-learn's is."""

    def __init__(self, *, reg_param: float = 0.0) -> None:
        self.reg_param = reg_param

    def fit(self, X: np.ndarray, y: np.ndarray) -> QuadraticDiscriminant:
        self.classes_, self.spreads = np.unique(y), list(iterate_spreads(X, y))
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        scores = compute_log_posteriors(self.spreads, X, [self.reg_param])[0]
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.classes_[compute_log_posteriors(self.spreads, X, [self.reg_param])[0].argmax(axis=1)]


def make_classes(counts: tuple[int, ...], n_features: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes with correlated features, of the given sizes, in mixed order."""
    generator = np.random.default_rng(seed)
    names = np.array(["anger", "boredom", "calm", "disgust", "fear"])[: len(counts)]
    y = generator.permutation(np.repeat(names, counts))
    mixing = generator.normal(size=(n_features, n_features)) / np.sqrt(n_features)
    X = generator.normal(size=(len(y), n_features)) @ (np.eye(n_features) + mixing)
    for name in names:
        X[y == name] += generator.normal(scale=0.5, size=n_features)
    return X, y


def assert_same_lda(X: np.ndarray, y: np.ndarray, *, seed: int = 1) -> None:
    """Check coefficients to 1e-8, and predictions on other samples, against scikit-learn."""
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, y)
    actual = LinearDiscriminant().fit(X, y)
    assert actual.coef_.shape == expected.coef_.shape
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(actual.coef_, expected.coef_, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(actual.intercept_, expected.intercept_, rtol=1e-8, atol=1e-8)
    X_new = np.random.default_rng(seed).normal(size=(300, X.shape[1]))
    np.testing.assert_array_equal(actual.predict(X_new), expected.predict(X_new))
    np.testing.assert_allclose(actual.decision_function(X_new), expected.decision_function(X_new), rtol=1e-7, atol=1e-7)


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where scikit-learn would do the work."""
    monkeypatch.setattr(linear_discriminant, "_fit_in_full", lambda *_: pytest.fail("scikit-learn was asked"))


@pytest.mark.filterwarnings("ignore:Only one sample")
@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize(
    ("counts", "n_features"),
    [((20, 30, 10, 5), 200), ((100, 40, 60), 20), ((30, 30), 150), ((50, 20), 8), ((12, 1, 15), 90), ((4, 2), 40)],
)
def test_lda_is_that_of_scikit_learn(counts: tuple[int, ...], n_features: int) -> None:
    assert_same_lda(*make_classes(counts, n_features))


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("n_features", [30, 200])
def test_lda_with_constant_columns(n_features: int) -> None:
    """A dead unit, a unit that is dead for one emotion, and one whose values differ in the last bit only."""
    X, y = make_classes((25, 20, 15), n_features)
    X[:, 3] = 0.7
    X[y == "calm", 5] = -1.5
    X[:, 7] = np.where(np.arange(len(y)) % 2, 1.0, 1.0 + np.finfo(float).eps)
    assert_same_lda(X, y)


@pytest.mark.usefixtures("no_fallback")
def test_lda_that_shrinks_all_the_way() -> None:
    """Noise without any structure: Ledoit and Wolf's estimate passes 1 and is held there."""
    X = np.random.default_rng(0).normal(size=(60, 10))
    y = np.repeat(["anger", "fear"], 30)
    assert {ledoit_wolf_shrinkage(StandardScaler().fit_transform(X[y == name])) for name in np.unique(y)} == {1.0}
    assert_same_lda(X, y)


def test_lda_without_shrinkage_is_left_to_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples that mirror each other leave Ledoit and Wolf nothing to shrink."""
    generator = np.random.default_rng(0)
    half = generator.normal(size=(2, 12))
    centres = generator.normal(size=(2, 12))
    X = np.concatenate([centres + half, centres - half])
    y = np.array(["anger", "fear"] * 2)
    asked = []
    whole = linear_discriminant._fit_in_full
    monkeypatch.setattr(linear_discriminant, "_fit_in_full", lambda *given: asked.append(1) or whole(*given))
    assert_same_lda(X, y)
    assert_same_lda(*make_classes((10, 12), 1))
    assert len(asked) == 2


def test_lda_of_hopeless_scales_is_left_to_scikit_learn() -> None:
    """Where least squares drops directions, the identity would keep them."""
    X, y = make_classes((20, 25), 60)
    X[:, 0] *= 1e-12
    X[:, 1] *= 1e9
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, y)
    np.testing.assert_array_equal(LinearDiscriminant().fit(X, y).predict(X), expected.predict(X))


def test_lda_shrinks() -> None:
    """Guard the comparisons above: on this data shrinkage matters."""
    X, y = make_classes((20, 30, 10, 5), 200)
    plain = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    assert not np.allclose(LinearDiscriminant().fit(X, y).coef_, plain.coef_, rtol=0.1)


@pytest.mark.parametrize("labels", [["anger"] * 6, list("abcdef")])
def test_lda_refuses_labels_that_say_nothing(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="needs at least 2"):
        LinearDiscriminant().fit(np.random.default_rng(0).normal(size=(6, 3)), labels)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_lda_keeps_the_conventions_of_scikit_learn() -> None:
    check_estimator(LinearDiscriminant())


@pytest.mark.parametrize("reg_param", [0.0, 0.1, 0.25, 1.0])
@pytest.mark.parametrize(("counts", "n_features"), [((40, 25, 60), 10), ((30, 50), 5), ((20, 20, 24), 20)])
def test_qda_is_that_of_scikit_learn_where_it_accepts(
    counts: tuple[int, ...], n_features: int, reg_param: float
) -> None:
    X, y = make_classes(counts, n_features)
    expected = QuadraticDiscriminantAnalysis(reg_param=reg_param)
    if min(counts) == n_features and reg_param == 0:
        with pytest.raises(linalg.LinAlgError):
            expected.fit(X, y)
        return
    expected.fit(X, y)
    actual = QuadraticDiscriminant(reg_param=reg_param).fit(X, y)
    X_new, _ = make_classes((50, 50, 50), n_features, seed=1)
    np.testing.assert_allclose(actual.decision_function(X_new), expected.decision_function(X_new), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(actual.predict(X_new), expected.predict(X_new))


def evaluate_as_2021(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, reg_param: float, n_noise: int) -> np.ndarray:
    """Scores of the old scikit-learn, divided by n, without the last directions of each class."""
    columns = []
    for name in np.unique(y):
        group = X[y == name]
        _, singular, rows = linalg.svd(group - group.mean(axis=0), full_matrices=False)
        singular, rows = singular[:-n_noise], rows[:-n_noise]
        variances = (1 - reg_param) * singular**2 / len(group) + reg_param
        distances = (((X_new - group.mean(axis=0)) @ rows.T) ** 2 / variances).sum(axis=1)
        columns.append(-0.5 * (distances + np.log(variances).sum()) + np.log(len(group) / len(y)))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("reg_param", [0.0, 0.1, 0.25])
def test_qda_goes_on_with_fewer_samples_than_features(reg_param: float) -> None:
    X, y = make_classes((20, 30, 25), 80)
    X_new, _ = make_classes((20, 20, 20), 80, seed=1)
    with pytest.raises(linalg.LinAlgError):
        QuadraticDiscriminantAnalysis(reg_param=reg_param).fit(X, y)
    actual = QuadraticDiscriminant(reg_param=reg_param).fit(X, y).decision_function(X_new)
    np.testing.assert_allclose(actual, evaluate_as_2021(X, y, X_new, reg_param, 1), rtol=1e-8)


@pytest.mark.parametrize("reg_param", [0.0, 0.1])
def test_qda_does_not_depend_on_rounding_noise(reg_param: float) -> None:
    """A repeated recording adds a direction without variance; the order of sums moves such directions about."""
    X, y = make_classes((20, 30, 25), 80)
    X[np.flatnonzero(y == "calm")[:3]] = X[y == "calm"][0]
    X_new, _ = make_classes((20, 20, 20), 80, seed=1)
    scores = QuadraticDiscriminant(reg_param=reg_param).fit(X, y).decision_function(X_new)
    generator = np.random.default_rng(2)
    rows, columns = generator.permutation(len(X)), generator.permutation(80)
    jittered = X * (1 + 1e-12 * generator.normal(size=X.shape))
    variants = [
        QuadraticDiscriminant(reg_param=reg_param).fit(X[rows], y[rows]).decision_function(X_new),
        QuadraticDiscriminant(reg_param=reg_param).fit(X[:, columns], y).decision_function(X_new[:, columns]),
        QuadraticDiscriminant(reg_param=reg_param).fit(jittered, y).decision_function(X_new),
    ]
    for variant in variants:
        np.testing.assert_allclose(variant, scores, rtol=1e-6)
    assert np.abs(scores).max() < 1e6


def test_qda_drops_dead_units_only_without_regularisation() -> None:
    """With enough samples and a regularised covariance the directions span the space and all count."""
    X, y = make_classes((40, 50), 10)
    X[:, 4] = 0.0
    X_new, _ = make_classes((20, 20), 10, seed=1)
    expected = QuadraticDiscriminantAnalysis(reg_param=0.1).fit(X, y).decision_function(X_new)
    actual = QuadraticDiscriminant(reg_param=0.1).fit(X, y).decision_function(X_new)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)
    alive = np.arange(10) != 4
    expected = QuadraticDiscriminantAnalysis().fit(X[:, alive], y).decision_function(X_new[:, alive])
    actual = QuadraticDiscriminant().fit(X, y).decision_function(X_new)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_features", [5, 60])
@pytest.mark.parametrize("counts", [(1, 20, 20), (1, 20), (20, 1)])
def test_qda_never_predicts_a_class_of_one(counts: tuple[int, ...], n_features: int) -> None:
    X, y = make_classes(counts, n_features)
    lonely = np.unique(y)[np.argmin(counts)]
    for reg_param in (0.0, 0.25):
        predictions = QuadraticDiscriminant(reg_param=reg_param).fit(X, y).predict(X)
        assert lonely not in predictions
        assert len(predictions) == len(y)


def test_qda_shares_directions_over_reg_params() -> None:
    X, y = make_classes((10, 15, 80), 30)
    X_new, _ = make_classes((20, 20, 20), 30, seed=1)
    reg_params = (0.0, 0.1, 0.25)
    together = compute_log_posteriors(iterate_spreads(X, y), X_new, reg_params)
    for scores, reg_param in zip(together, reg_params, strict=True):
        alone = QuadraticDiscriminant(reg_param=reg_param).fit(X, y).decision_function(X_new)
        np.testing.assert_array_equal(scores, alone)
