import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from making import make_classes, qda_of_today
from sklearn.base import ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid, PredefinedSplit
from sklearn.svm import SVC

from serab_lib.core import UnknownNameError
from serab_lib.evaluation import classifiers
from serab_lib.evaluation.classifiers import CLASSIFIERS, GRIDS, divide_search, fit_best, fit_classifier, try_candidates

# Written out once more, so that a slip in the library's grids shows.
C, WEIGHTS = np.logspace(5, -5, 11), {"class_weight": ["balanced", None]}
TREES = {"max_depth": [5, 10, 15, 20, 25], "min_samples_split": [2, 5, 10]}
PLAIN: dict[str, tuple[ClassifierMixin, dict[str, Any]]] = {
    "LDA": (LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), {}),
    "LR": (LogisticRegression(max_iter=10_000, random_state=42), {"C": C} | WEIGHTS),
    "QDA": (QuadraticDiscriminantAnalysis(), {"reg_param": [0, 0.1, 0.25]}),
    "RF": (RandomForestClassifier(random_state=42), TREES | WEIGHTS),
    "SVC": (SVC(max_iter=10_000, random_state=42), {"kernel": ["rbf", "linear"], "C": C} | WEIGHTS),
}
FOUR = (0.45, 0.3, 0.15, 0.1)
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make_parts(n_train: int, n_features: int, shares: tuple[float, ...] = FOUR, *, distance: float = 2.2) -> Parts:
    """Train, validation and test parts of overlapping classes, in the order that `fit_classifier` takes them."""
    X, y = make_classes([round(2 * n_train * share) for share in shares], n_features, distance=distance)
    train, validation, test = np.split(np.arange(2 * n_train), [n_train, n_train + n_train // 2])
    return X[train], y[train], X[validation], y[validation], X[test]


def search_plainly(name: str, parts: Parts) -> tuple[GridSearchCV, np.ndarray]:
    X_train, y_train, X_validation, y_validation, X_test = parts
    estimator, grid = PLAIN[name]
    fold = PredefinedSplit(np.repeat([-1, 0], [len(X_train), len(X_validation)]))
    X, y = np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation])
    search = GridSearchCV(estimator, grid, cv=fold).fit(X, y)
    return search, search.predict(X_test)


def assert_same_search(actual: Any, expected: GridSearchCV, predictions: np.ndarray) -> None:
    assert actual.best_params == expected.best_params_ and actual.seconds > 0
    assert actual.validation_accuracy == pytest.approx(expected.best_score_, abs=1e-12)
    np.testing.assert_array_equal(actual.predictions, predictions)


def test_grids_are_those_of_the_release_in_plain_values() -> None:
    assert tuple(GRIDS) == CLASSIFIERS
    for name, (_, grid) in PLAIN.items():
        settings = list(ParameterGrid(GRIDS[name]))
        assert settings == list(ParameterGrid(grid))
        assert {type(value) for params in settings for value in params.values()} <= {int, float, str, type(None)}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("shares", [FOUR, (0.7, 0.3)], ids=["four", "two"])
# scikit-learn refuses wide embeddings for QDA: see test_solvers.py.
@pytest.mark.parametrize(("name", "n_features"), [*itertools.product(("LDA", "LR", "SVC"), (240, 6)), ("QDA", 6)])
def test_searches_as_scikit_learn_does(name: str, n_features: int, shares: tuple[float, ...]) -> None:
    parts = make_parts(120, n_features, shares)
    assert_same_search(fit_classifier(name, *parts), *search_plainly(name, parts))


def test_random_forest_searches_as_scikit_learn_does() -> None:
    parts = make_parts(60, 5, (0.6, 0.25, 0.15))
    expected, predictions = search_plainly("RF", parts)
    assert_same_search(fit_classifier("RF", *parts), expected, predictions)
    alone = [try_candidates("RF", [candidate], parts)[0] for group in divide_search("RF") for candidate in group]
    assert_same_search(fit_best("RF", alone[::-1], parts), expected, predictions)


@pytest.mark.filterwarnings("ignore:class_weight presets")
def test_a_forest_grows_only_the_trees_that_reach_its_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "n_estimators : int, default=100" in RandomForestClassifier.__doc__
    monkeypatch.setattr(RandomForestClassifier.__init__, "__defaults__", (100,))
    X, y, *_ = make_parts(150, 6, distance=0.5)
    X, deeper, kept = X.astype(np.float32), None, []
    for depth in (25, 20, 14, 11, 3):
        params = {"max_depth": depth, "min_samples_split": 2, "class_weight": "balanced"}
        forest = classifiers._grow_forest(params, X, y, deeper)
        plain = RandomForestClassifier(**params, random_state=42).fit(X, y)
        np.testing.assert_array_equal(forest.predict_proba(X), plain.predict_proba(X))
        kept.append(len(set(forest.estimators_) & set(deeper.estimators_ if deeper else [])))
        deeper = forest
    assert kept[1] == 100 > kept[2] > kept[3] > kept[4] == 0


def test_ties_go_to_the_first_candidate() -> None:
    """With classes far apart everything is right: the first of ParameterGrid wins, as in GridSearchCV."""
    parts = make_parts(60, 100, distance=15.0)
    for name in ("LR", "SVC"):
        expected, _ = search_plainly(name, parts)
        assert np.sum(expected.cv_results_["mean_test_score"] == 1) > 5
        assert fit_classifier(name, *parts).best_params == expected.best_params_


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=qda_of_today) if each == "QDA" else each for each in CLASSIFIERS]
)
def test_without_a_search_the_defaults_are_fitted(name: str) -> None:
    parts = make_parts(80, 6)
    X_train, y_train, X_validation, y_validation, X_test = parts
    result = fit_classifier(name, *parts, search=False)
    balanced = {"class_weight": "balanced"} if name in ("LR", "RF") else {}
    model = clone(PLAIN[name][0]).set_params(**balanced).fit(X_train, y_train)
    assert result.validation_accuracy == pytest.approx(model.score(X_validation, y_validation), abs=1e-12)
    model.fit(np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation]))
    np.testing.assert_array_equal(result.predictions, model.predict(X_test))
    assert {parameter: model.get_params()[parameter] for parameter in result.best_params} == result.best_params


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_nothing_is_printed_changed_or_left_to_chance(name: str) -> None:
    """Optimisers that do not converge, as SVC's here, a class of one: no warning gets out; float32 will do."""
    parts = tuple(np.asarray(part, dtype="f4") if part.dtype.kind == "f" else part for part in make_parts(60, 2))
    parts[1][0] = "zeal"
    for part in parts:
        part.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (fit_classifier(name, *parts, search=name != "RF") for _ in range(2))
    np.testing.assert_array_equal(first.predictions, second.predictions)
    assert first.predictions.dtype == parts[1].dtype


@pytest.mark.parametrize("name", ["LDA", "LR", "QDA", "SVC"])
def test_a_class_missing_from_train_can_still_be_learned_for_the_test_part(name: str) -> None:
    """As in GridSearchCV: the validation part is wrong about it, the refit knows it."""
    X_train, y_train, X_validation, y_validation, X_test = make_parts(60, 8, (0.5, 0.5), distance=8.0)
    X_validation[y_validation == "calm"] += 5.0
    X_test[::3] += 5.0
    y_validation = np.where(y_validation == "calm", "sadness", y_validation)
    result = fit_classifier(name, X_train, y_train, X_validation, y_validation, X_test, search=False)
    assert result.validation_accuracy <= np.mean(y_validation == "anger")
    assert "sadness" in result.predictions


def test_every_fit_has_one_thread_and_an_unknown_classifier_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads changes the order of a sum, and that can decide between classes that are as likely."""
    seen, predict = [], classifiers._PREDICTORS["LDA"]

    def look(*arguments: Any, **options: Any) -> list[np.ndarray]:
        seen.append({library["num_threads"] for library in threadpoolctl.threadpool_info()})
        return predict(*arguments, **options)

    monkeypatch.setitem(classifiers._PREDICTORS, "LDA", look)
    with threadpoolctl.threadpool_limits(2):
        fit_classifier("LDA", *make_parts(40, 5))
        after = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
    assert (seen, after) == ([{1}, {1}], {2})
    with pytest.raises(UnknownNameError, match="SVC"):
        fit_classifier("SVM", *make_parts(20, 4))
