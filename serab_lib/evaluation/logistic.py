"""Multinomial logistic regression over a grid when there are more features than utterances.

Same objective, start, optimiser and stopping rule as scikit-learn's ``LogisticRegression(solver="lbfgs")``. With large
C the classes are separable, the optimum lies at infinity, and what is reported is where the optimiser stops: so it is
the path of the optimiser that has to be the same, not only the function that it minimises. For that reason no
solution is the start of the next one: a warm start stops elsewhere. What the grid shares is the rotation into the row
space, and each pass over the samples, which serves all candidates at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from scipy import optimize
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from serab_lib.evaluation.row_space import RowSpace, rotate_into_row_space

TOLERANCE = 1e-4
"""Largest entry of the gradient at which the optimiser stops (scikit-learn's default)."""

MAX_ITERATIONS = 10_000


def predict_candidates(
    X_fit: np.ndarray,
    y_fit: np.ndarray,
    X_eval: np.ndarray,
    candidates: Sequence[Mapping[str, Any]],
    *,
    seed: int = 42,
) -> list[np.ndarray]:
    """Fit one model per candidate and predict.

    Parameters
    ----------
    X_fit : np.ndarray, shape (n_fit, n_features)
        Embeddings to fit.
    y_fit : np.ndarray, shape (n_fit,)
        Their labels, of two classes or more.
    X_eval : np.ndarray, shape (n_eval, n_features)
        Embeddings to predict.
    candidates : sequence of mapping
        Each with ``C`` and ``class_weight``.
    seed : int
        Handed to scikit-learn; with this optimiser nothing is drawn.

    Returns
    -------
    list of np.ndarray, shape (n_eval,)
        Labels, one array per candidate.

    Notes
    -----
    With no more features than samples there is nothing to rotate away, and scikit-learn itself does the work. With
    more, sums are rounded in another order than scikit-learn's, and L-BFGS amplifies that: coefficients agree to
    about 1e-10 after 60 steps and to about 1e-3 after 150, as they do within scikit-learn between two orders of the
    samples.
    """
    if X_fit.shape[1] <= X_fit.shape[0]:
        return [
            LogisticRegression(**candidate, max_iter=MAX_ITERATIONS, random_state=seed)
            .fit(X_fit, y_fit)
            .predict(X_eval)
            for candidate in candidates
        ]
    fits, space, classes = fit_candidates(X_fit, y_fit, candidates)
    projected = space.project(X_eval)
    predictions = []
    for fit in fits:
        scores = fit.coefficients @ projected.T + fit.intercept[:, None]
        winners = scores.argmax(axis=0) if len(classes) > 2 else (scores[0] > 0).astype(int)
        predictions.append(classes[winners])
    return predictions


def fit_candidates(
    X: np.ndarray, y: np.ndarray, candidates: Sequence[Mapping[str, Any]]
) -> tuple[list[Fit], RowSpace, np.ndarray]:
    """Fit one model per candidate.

    Parameters
    ----------
    X : np.ndarray, shape (n_samples, n_features)
        Embeddings.
    y : np.ndarray, shape (n_samples,)
        Labels, of two classes or more.
    candidates : sequence of mapping
        Each with ``C`` and ``class_weight``.

    Returns
    -------
    fits : list of Fit
        One per candidate.
    space : RowSpace
        What the coefficients refer to.
    classes : np.ndarray, shape (n_classes,)
        The labels, sorted.
    """
    classes, codes = np.unique(y, return_inverse=True)
    weights = np.stack([compute_class_weight(c["class_weight"], classes=classes, y=y)[codes] for c in candidates])
    totals = weights.sum(axis=1)
    penalties = 1.0 / (np.array([c["C"] for c in candidates]) * totals)
    space = rotate_into_row_space(X)
    problem = _Problem(space, codes, len(classes), weights / totals[:, None], penalties)
    return _minimise_together(problem), space, classes


@dataclass(frozen=True)
class Fit:
    """Where the optimiser stopped.

    Attributes
    ----------
    coefficients : np.ndarray, shape (n_outputs, n_coordinates)
        Coefficients; one output with two classes.
    intercept : np.ndarray, shape (n_outputs,)
        Constants.
    n_iterations : int
        Steps taken.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    n_iterations: int


@dataclass(frozen=True)
class _Evaluation:
    """What the optimiser of one candidate is told about a point."""

    value: float
    gradient: np.ndarray
    has_converged: bool


class _Problem:
    """Weighted mean cross-entropy plus half the penalty times the squared coefficients, for all candidates.

    Parameters
    ----------
    space : RowSpace
        The samples.
    codes : np.ndarray of int, shape (n_samples,)
        Class of each sample.
    n_classes : int
        Number of classes, at least 2.
    weights : np.ndarray, shape (n_candidates, n_samples)
        Weight of each sample; each row sums to 1.
    penalties : np.ndarray, shape (n_candidates,)
        Weights of the squared coefficients; the intercept is free.
    """

    def __init__(
        self, space: RowSpace, codes: np.ndarray, n_classes: int, weights: np.ndarray, penalties: np.ndarray
    ) -> None:
        self.space = space
        self.weights = weights
        self.penalties = penalties
        self.codes = codes
        self.columns = np.arange(len(codes))
        # Two classes have one output, the log odds of the second.
        self.n_outputs = n_classes if n_classes > 2 else 1
        self.n_parameters = self.n_outputs * (space.samples.shape[1] + 1)
        self.n_original = self.n_outputs * (space.original.shape[1] + 1)

    def unpack(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Views of the coefficients (..., n_outputs, n_coordinates) and of the intercept (..., n_outputs)."""
        coefficients, intercept = np.split(point, [-self.n_outputs], axis=-1)
        return coefficients.reshape(*point.shape[:-1], self.n_outputs, -1), intercept

    def evaluate(self, points: Mapping[int, np.ndarray]) -> dict[int, _Evaluation]:
        """Evaluate one point each of some candidates in one pass over the samples.

        Parameters
        ----------
        points : mapping from int to np.ndarray, shape (n_parameters,)
            The points, by number of the candidate.

        Returns
        -------
        dict from int to _Evaluation
            Value, gradient, and whether the stopping rule holds.
        """
        numbers = list(points)
        coefficients, intercepts = self.unpack(np.stack([points[number] for number in numbers]))
        n, outputs, width = coefficients.shape
        scores = (coefficients.reshape(n * outputs, width) @ self.space.samples.T).reshape(n, outputs, -1)
        scores += intercepts[:, :, None]
        losses, residuals = self._differentiate(scores)
        weights, penalties = self.weights[numbers], self.penalties[numbers]
        residuals *= weights[:, None, :]
        gradients = np.empty((n, self.n_parameters))
        slopes = (residuals.reshape(n * outputs, -1) @ self.space.samples).reshape(n, -1)
        gradients[:, :-outputs] = slopes + penalties[:, None] * coefficients.reshape(n, -1)
        gradients[:, -outputs:] = residuals.sum(axis=2)
        values = np.einsum("ij,ij->i", losses, weights) + 0.5 * penalties * np.sum(coefficients**2, axis=(1, 2))
        return {
            number: _Evaluation(float(value), gradient, self._has_converged(gradient))
            for number, value, gradient in zip(numbers, values, gradients, strict=True)
        }

    def _differentiate(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses (n, n_samples) of scores (n, n_outputs, n_samples), and their derivatives; overwrites the scores."""
        if self.n_outputs == 1:
            signs = np.where(self.codes == 1, -1.0, 1.0)
            signed = signs * scores[:, 0]
            losses = np.logaddexp(0.0, signed)
            return losses, (signs * np.exp(signed - losses))[:, None]
        scores -= scores.max(axis=1, keepdims=True)
        true_scores = scores[:, self.codes, self.columns]
        probabilities = np.exp(scores, out=scores)
        sums = probabilities.sum(axis=1)
        probabilities /= sums[:, None]
        probabilities[:, self.codes, self.columns] -= 1.0
        return np.log(sums) - true_scores, probabilities

    def _has_converged(self, gradient: np.ndarray) -> bool:
        """Whether no entry of the gradient in the original features exceeds the tolerance."""
        norm = float(np.linalg.norm(gradient))
        # The largest of m entries lies between the norm / sqrt(m) and the norm: mostly that is enough to tell.
        if norm <= TOLERANCE:
            return True
        slopes, intercept_slopes = self.unpack(gradient)
        if norm > TOLERANCE * np.sqrt(self.n_original) or np.abs(intercept_slopes).max() > TOLERANCE:
            return False
        return bool(np.abs(self.space.restore(slopes)).max() <= TOLERANCE)


def _minimise_together(problem: _Problem) -> list[Fit]:
    """Run one optimiser per candidate, in step, so that each pass over the samples serves all of them.

    Each optimiser has a thread of its own, because scipy's calls the function it minimises and not the other way
    round. The threads only do the optimisers' own small vector operations; the samples are touched here.
    """
    n_candidates = len(problem.penalties)
    requests: SimpleQueue[tuple[int, np.ndarray | None]] = SimpleQueue()
    answers: list[SimpleQueue[_Evaluation | None]] = [SimpleQueue() for _ in range(n_candidates)]

    def run(number: int) -> Fit:
        def ask(point: np.ndarray) -> _Evaluation:
            requests.put((number, point))
            answer = answers[number].get()
            if answer is None:
                raise CancelledError
            return answer

        try:
            return _minimise(problem, ask)
        finally:
            requests.put((number, None))

    with ThreadPoolExecutor(max_workers=n_candidates) as pool:
        futures = [pool.submit(run, number) for number in range(n_candidates)]
        try:
            _serve(problem, requests, answers)
        finally:
            # Nothing waits for an answer unless the service was interrupted.
            for queue in answers:
                queue.put(None)
        return [future.result() for future in futures]


def _serve(
    problem: _Problem,
    requests: SimpleQueue[tuple[int, np.ndarray | None]],
    answers: Sequence[SimpleQueue[_Evaluation | None]],
) -> None:
    """Answer the optimisers, all that are still at work at a time, until none is."""
    n_active = len(answers)
    points: dict[int, np.ndarray] = {}
    while n_active:
        number, point = requests.get()
        if point is None:
            n_active -= 1
        else:
            points[number] = point
        if n_active and len(points) == n_active:
            for asker, evaluation in problem.evaluate(dict(sorted(points.items()))).items():
                answers[asker].put(evaluation)
            points = {}


def _minimise(problem: _Problem, ask: Callable[[np.ndarray], _Evaluation]) -> Fit:
    """Minimise one candidate's function from zero, stopping as scikit-learn does."""
    latest: tuple[np.ndarray, _Evaluation]

    def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal latest
        latest = point.copy(), ask(point.copy())
        return latest[1].value, latest[1].gradient

    def stop_at_tolerance(intermediate_result: optimize.OptimizeResult) -> None:
        if not np.array_equal(intermediate_result.x, latest[0]):
            evaluate(intermediate_result.x)
        if latest[1].has_converged:
            raise StopIteration

    start = np.zeros(problem.n_parameters)
    evaluate(start)
    if latest[1].has_converged:
        return Fit(*problem.unpack(start), 0)
    result = optimize.minimize(
        evaluate,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=stop_at_tolerance,
        # scikit-learn's, but for gtol: the optimiser sees the rotated gradient, the rule is about the original one.
        options={"maxiter": MAX_ITERATIONS, "maxls": 50, "gtol": 0.0, "ftol": 64 * np.finfo(float).eps},
    )
    return Fit(*problem.unpack(result.x), result.nit)
