import numpy as np
import pytest
from making import make_classes, qda_of_today
from scipy import linalg
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from serab_lib.evaluation import solvers

VALUES = {"C": np.logspace(5, -5, 11), "class_weight": ["balanced", None]}
SETTINGS, MACHINES = list(ParameterGrid(VALUES)), list(ParameterGrid(VALUES | {"kernel": ["rbf", "linear"]}))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("counts", [(30, 15, 40, 8), (45, 20), (30, 30, 30)])
@pytest.mark.parametrize(("n_features", "distance"), [(300, 3.0), (60, 1.0), (8, 2.0)])
def test_svm_predicts_what_scikit_learn_predicts(counts: tuple[int, ...], n_features: int, distance: float) -> None:
    X, y = make_classes(counts, n_features, distance=distance)
    X_new = np.random.default_rng(9).normal(size=(200, n_features))
    expected = [SVC(**params, max_iter=10_000, random_state=42).fit(X, y).predict(X_new) for params in MACHINES]
    order = np.random.default_rng(3).permutation(len(MACHINES))
    found = solvers.predict_svm(X, y, X_new, [MACHINES[i] for i in order])
    np.testing.assert_array_equal(found, np.array(expected)[order])
    assert len({tuple(row) for row in expected}) > 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_larger_c_is_fitted_where_it_makes_a_difference_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixed classes keep coefficients at their caps, whatever C."""
    machines = []
    monkeypatch.setattr(solvers, "SVC", lambda **arguments: machines.append(SVC(**arguments)) or machines[-1])
    X, y = make_classes((30, 15, 40, 8), 300)
    solvers.predict_svm(X, y, X[:5], MACHINES)
    assert len(machines) < 0.7 * len(MACHINES) and {machine.kernel for machine in machines} == {"precomputed"}
    machines.clear()
    X, y = make_classes((30, 30, 30), 2, distance=0.1)
    linear = [params for params in MACHINES if params["kernel"] == "linear"]
    solvers.predict_svm(X, y, X[:5], linear)
    assert len({(machine.C, machine.class_weight) for machine in machines}) == len(linear)


@pytest.mark.parametrize("scale", [0.0, 30.0])
def test_gamma_is_that_of_scikit_learn(scale: float) -> None:
    X, y = make_classes((20, 20), 7)
    assert solvers.scale_gamma(scale * X) == SVC().fit(scale * X, y)._gamma


def fit_plainly(X: np.ndarray, y: np.ndarray, params: dict) -> LogisticRegression:
    return LogisticRegression(**params, max_iter=10_000, random_state=42).fit(X, y)


@pytest.mark.parametrize("params", SETTINGS[::7])
def test_logistic_stops_where_scikit_learn_stops(params: dict) -> None:
    """In the rotated space the gradient's largest entry is another one, but the rule is about the original features."""
    X, y = make_classes((30, 15, 40, 8), 300)
    basis, triangle = np.linalg.qr(X.T)
    weights = compute_sample_weight(params["class_weight"], y)
    rotated, codes = np.column_stack([triangle.T, np.ones(len(X))]), np.unique(y, return_inverse=True)[1]
    found = solvers.minimise(rotated, codes, weights / weights.sum(), 1 / (params["C"] * weights.sum()), basis)
    expected = fit_plainly(X, y, params)
    scale = np.abs(expected.coef_).max()
    expected = np.column_stack([expected.coef_, expected.intercept_])
    np.testing.assert_allclose(np.c_[found[:, :-1] @ basis.T, found[:, -1]], expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("counts", [(30, 15, 40, 8), (45, 20)])
@pytest.mark.parametrize(("n_features", "repeated"), [(20, False), (250, False), (300, True)])
def test_logistic_predicts_what_scikit_learn_predicts(counts: tuple[int, ...], n_features: int, repeated: bool) -> None:
    """Speaker normalisation makes the samples dependent, a repeated recording makes two of them equal."""
    X, y = make_classes(counts, n_features)
    if repeated:
        X[1] = X[0]
        X -= X.mean(axis=0)
    X_new = np.random.default_rng(9).normal(size=(200, n_features))
    expected = [fit_plainly(X, y, params).predict(X_new) for params in SETTINGS[::3]]
    np.testing.assert_array_equal(solvers.predict_logistic(X, y, X_new, SETTINGS[::3]), expected)
    assert len({tuple(row) for row in expected}) > 1
    # Zeros are what speaker normalisation makes of an extractor that always says the same.
    (predictions,) = solvers.predict_logistic(np.zeros_like(X), y, X[:3], [{"C": 1.0, "class_weight": None}])
    assert predictions.tolist() == [max(set(y), key=y.tolist().count)] * 3


def make_correlated(counts: tuple[int, ...], n_features: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classes(counts, n_features, distance=0.5 * np.sqrt(n_features), seed=seed)
    mixing = np.random.default_rng(seed).normal(size=(n_features, n_features)) / np.sqrt(n_features)
    return X @ (np.eye(n_features) + mixing), y


def assert_same_lda(X: np.ndarray, y: np.ndarray) -> None:
    """Check coefficients and constants to 1e-8 against scikit-learn, which has differences for two classes."""
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, y)
    coefficients, constants = solvers.fit_linear(X, y)
    if len(constants) == 2:
        coefficients, constants = np.diff(coefficients, axis=0), np.diff(constants)
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(coefficients, expected.coef_, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(constants, expected.intercept_, rtol=1e-8, atol=1e-8)


@pytest.fixture
def no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "LinearDiscriminantAnalysis", lambda **_: pytest.fail("scikit-learn was asked"))


@pytest.mark.filterwarnings("ignore:Only one sample")
@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize(
    ("counts", "n_features"), [((20, 30, 10, 5), 200), ((100, 40, 60), 20), ((30, 30), 150), ((12, 1, 15), 90)]
)
def test_lda_is_that_of_scikit_learn_also_with_constant_columns(counts: tuple[int, ...], n_features: int) -> None:
    """A dead unit, a unit that is dead for one emotion, and one whose values differ in the last bit only."""
    X, y = make_correlated(counts, n_features)
    assert_same_lda(X, y)
    X[:, 3] = 0.7
    X[y == "calm", 5] = -1.5
    X[:, 7] = np.where(np.arange(len(y)) % 2, 1.0, 1.0 + np.finfo(float).eps)
    assert_same_lda(X, y)


@pytest.mark.usefixtures("no_fallback")
def test_lda_that_shrinks_all_the_way() -> None:
    """Noise without any structure: Ledoit and Wolf's estimate passes 1 and is held there."""
    X, y = np.random.default_rng(0).normal(size=(60, 10)), np.repeat(["anger", "fear"], 30)
    assert {ledoit_wolf_shrinkage(StandardScaler().fit_transform(X[y == name])) for name in np.unique(y)} == {1.0}
    assert_same_lda(X, y)


def test_lda_without_shrinkage_or_of_hopeless_scales_is_left_to_scikit_learn() -> None:
    """Samples that mirror each other leave nothing to shrink; of hopeless scales, least squares drops directions."""
    half, centres = np.random.default_rng(0).normal(size=(2, 2, 12))
    assert_same_lda(np.concatenate([centres + half, centres - half]), np.array(["anger", "fear"] * 2))
    assert_same_lda(*make_correlated((10, 12), 1))
    X, y = make_correlated((20, 25, 22), 60)
    X[:, :2] *= 1e-12, 1e9
    assert_same_lda(X, y)


def score_as_2021(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, reg_param: float) -> np.ndarray:
    """Scores of the old scikit-learn, divided by n, without the last direction of each class."""
    columns = []
    for name in np.unique(y):
        group = X[y == name]
        _, singular, rows = linalg.svd(group - group.mean(axis=0), full_matrices=False)
        variances = (1 - reg_param) * singular[:-1] ** 2 / len(group) + reg_param
        distances = (((X_new - group.mean(axis=0)) @ rows[:-1].T) ** 2 / variances).sum(axis=1)
        columns.append(-0.5 * (distances + np.log(variances).sum()) + np.log(len(group) / len(y)))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("counts", "n_features"), [((40, 25, 60), 10), ((20, 21, 24), 20)])
@qda_of_today
def test_qda_is_that_of_scikit_learn_where_it_accepts(counts: tuple[int, ...], n_features: int) -> None:
    """Including one class with as many samples as features, of which only a regularised covariance has full rank."""
    (X, y), (X_new, _) = make_correlated(counts, n_features), make_correlated((50, 50, 50), n_features, seed=1)
    reg_params = [0.1, 0.25, 1.0] + [0.0] * (min(counts) > n_features)
    expected = [QuadraticDiscriminantAnalysis(reg_param=each).fit(X, y).decision_function(X_new) for each in reg_params]
    np.testing.assert_allclose(list(solvers.score_quadratic(X, y, X_new, reg_params)), expected, rtol=1e-9, atol=1e-9)


@qda_of_today
def test_qda_goes_on_with_fewer_samples_than_features_and_without_rounding_noise() -> None:
    (X, y), (X_new, _) = make_correlated((20, 30, 25), 80), make_correlated((20, 20, 20), 80, seed=1)
    with pytest.raises(linalg.LinAlgError):
        QuadraticDiscriminantAnalysis(reg_param=0.1).fit(X, y)
    reg_params = [0.0, 0.1, 0.25]
    expected = [score_as_2021(X, y, X_new, reg_param) for reg_param in reg_params]
    np.testing.assert_allclose(list(solvers.score_quadratic(X, y, X_new, reg_params)), expected, rtol=1e-8)
    # A repeated recording adds a direction without variance; the order of sums moves such directions about.
    X[np.flatnonzero(y == "calm")[:3]] = X[y == "calm"][0]
    generator = np.random.default_rng(2)
    rows, columns = generator.permutation(len(X)), generator.permutation(80)
    scores = solvers.score_quadratic(X, y, X_new, reg_params)
    jittered = X * (1 + 1e-12 * generator.normal(size=X.shape))
    for variant in ((X[rows], y[rows], X_new), (X[:, columns], y, X_new[:, columns]), (jittered, y, X_new)):
        np.testing.assert_allclose(solvers.score_quadratic(*variant, reg_params), scores, rtol=1e-6)
    assert np.abs(scores).max() < 1e6


@qda_of_today
def test_qda_drops_dead_units_only_without_regularisation() -> None:
    """With enough samples and a regularised covariance the directions span the space and all count."""
    (X, y), (X_new, _) = make_correlated((40, 50, 45), 10), make_correlated((20, 20, 20), 10, seed=1)
    X[:, 4] = 0.0
    plain, regularised = solvers.score_quadratic(X, y, X_new, [0.0, 0.1])
    expected = QuadraticDiscriminantAnalysis(reg_param=0.1).fit(X, y).decision_function(X_new)
    np.testing.assert_allclose(regularised, expected, rtol=1e-9, atol=1e-9)
    alive = np.arange(10) != 4
    expected = QuadraticDiscriminantAnalysis().fit(X[:, alive], y).decision_function(X_new[:, alive])
    np.testing.assert_allclose(plain, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_features", [5, 60])
@pytest.mark.parametrize("counts", [(1, 20, 20), (20, 1)])
def test_qda_never_predicts_a_class_of_one(counts: tuple[int, ...], n_features: int) -> None:
    X, y = make_correlated(counts, n_features)
    for scores in solvers.score_quadratic(X, y, X, [0.0, 0.25]):
        assert np.argmin(counts) not in scores.argmax(axis=1)
