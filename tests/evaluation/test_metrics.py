from __future__ import annotations

import math

import numpy as np
import pytest

from serab_lib.core import SerabError
from serab_lib.evaluation.metrics import (
    accuracy,
    count_confusions,
    geometric_mean,
    summarise_tasks,
    unweighted_average_recall,
    unweighted_mean,
    weighted_mean,
)

TRUE = ["anger", "anger", "anger", "anger", "fear", "fear"]
PREDICTED = ["anger", "anger", "anger", "fear", "fear", "calm"]


def test_accuracy() -> None:
    assert accuracy(TRUE, PREDICTED) == pytest.approx(4 / 6)


def test_unweighted_average_recall_gives_each_emotion_the_same_weight() -> None:
    assert unweighted_average_recall(TRUE, PREDICTED) == pytest.approx((3 / 4 + 1 / 2) / 2)


@pytest.mark.filterwarnings("error")
def test_an_emotion_that_is_only_predicted_has_no_recall() -> None:
    assert unweighted_average_recall(["fear", "fear"], ["calm", "fear"]) == 0.5


def test_confusions_keep_the_order_given() -> None:
    classes = ["fear", "anger", "sadness", "calm"]
    expected = [[1, 0, 0, 1], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(count_confusions(TRUE, PREDICTED, classes=classes), expected)


@pytest.mark.parametrize(("true", "predicted"), [(TRUE, PREDICTED), (PREDICTED, TRUE)])
def test_confusions_refuse_unknown_labels(true: list[str], predicted: list[str]) -> None:
    with pytest.raises(SerabError, match="calm"):
        count_confusions(true, predicted, classes=["anger", "fear"])


def test_means_over_tasks() -> None:
    accuracies, sizes = [0.5, 0.9, 0.72], [100, 300, 600]
    assert unweighted_mean(accuracies) == pytest.approx(2.12 / 3)
    assert weighted_mean(accuracies, sizes) == pytest.approx(0.752)
    assert geometric_mean(accuracies) == pytest.approx((0.5 * 0.9 * 0.72) ** (1 / 3))
    assert summarise_tasks(accuracies, sizes) == {
        "UM": unweighted_mean(accuracies),
        "WM": weighted_mean(accuracies, sizes),
        "GM": geometric_mean(accuracies),
    }


def test_a_missing_task_is_not_skipped() -> None:
    assert all(math.isnan(mean) for mean in summarise_tasks([0.5, math.nan], [100, 300]).values())


def test_geometric_mean_of_a_total_failure() -> None:
    assert geometric_mean([0.0, 0.9]) == 0.0
