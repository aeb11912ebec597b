"""The audit finds what is planted, nothing in a clean benchmark, and what is in the paper."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from auditing import make_digests, make_sources, make_task

from serab_lib.audit.findings import (
    CONFIDENCES,
    Finding,
    audit,
    find_class_order,
    probe_release,
    tabulate_findings,
    write_findings,
)
from serab_lib.audit.measurements import read_measurement
from serab_lib.audit.sources import Procedure, Sources, place_crop
from serab_lib.benchmark.results import Results
from serab_lib.corpora.task import get_task

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def paper() -> Sources:
    return dataclasses.replace(Sources.read(), n_draws=2_000)


@pytest.fixture(scope="module")
def findings(paper: Sources) -> dict[str, Finding]:
    return {finding.name: finding for finding in audit(paper)}


def names(sources: Sources) -> list[str]:
    return [finding.name for finding in audit(sources)]


def change_table(name: str, row: object, column: str, value: float) -> Callable[[], Sources]:
    def plant() -> Sources:
        sources = make_sources()
        table = getattr(sources, name).copy()
        table.loc[row, column] = value
        return dataclasses.replace(sources, **{name: table})

    return plant


def change_mean() -> Sources:
    sources = make_sources()
    table = sources.accuracies.copy()
    table.loc["model 3", "GM"] -= 0.2
    return dataclasses.replace(sources, accuracies=table)


def group_by_number() -> Sources:
    return make_sources(tasks=(make_task("ONE", released_group="number"), make_task("TWO")), n_takes=21)


def leave_class_out() -> Sources:
    return make_sources(tasks=(make_task("ONE", released_without=("boredom",)), make_task("TWO")), n_takes=8)


def repeat_recording() -> Sources:
    sources = make_sources()
    digests = make_digests(sources.utterances["ONE"])
    digests.loc[0, "sha256"] = digests.loc[7, "sha256"]  # s00-a-00 and s00-b-02
    return dataclasses.replace(sources, digests={"ONE": digests})


def thin_out_class() -> Sources:
    sources = make_sources()
    table = sources.utterances["ONE"]
    rare = table["emotion"].eq("calm") & ~table["stem"].str.endswith("-00")
    utterances = {**sources.utterances, "ONE": table[~rare].reset_index(drop=True)}
    fresh = make_sources()
    datasets = fresh.datasets.copy()
    datasets.loc[0, "utterances"] = len(utterances["ONE"])
    return dataclasses.replace(fresh, utterances=utterances, datasets=datasets)


PLANTS = {
    "shared-speakers-ONE": group_by_number,
    "left-out-classes-ONE": leave_class_out,
    "file-count-ONE": change_table("datasets", 0, "utterances", 453),
    "means-model-3": change_mean,
    "durations-TWO": change_table("datasets", 1, "mean_duration_s", 3.4),
    "parameters": change_table("models", 0, "parameters_millions", 6.0),
    "duplicates-ONE": repeat_recording,
    "rare-classes": thin_out_class,
    "narrow-test-parts": lambda: make_sources(n_speakers=15, n_takes=10),
    "selection-on-test": lambda: make_sources(procedure=Procedure(selects_on="test")),
    "transductive-normalisation": lambda: make_sources(procedure=Procedure(transductive=True)),
    "class-order": lambda: make_sources(procedure=Procedure(fixed_class_order=False)),
    "training-crops": lambda: make_sources(procedure=Procedure(crops_anywhere=False)),
    "full-scale-click": lambda: make_sources(procedure=Procedure(keeps_full_scale=False)),
    "byol-a-window": lambda: make_sources(procedure=Procedure(hears_as_trained=False)),
    "training-recipe": lambda: make_sources(procedure=Procedure(same_recipe=False)),
}


def test_nothing_is_found_where_everything_adds_up() -> None:
    assert names(make_sources()) == []


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found_and_nothing_else(name: str) -> None:
    assert names(PLANTS[name]()) == [name]


def test_every_kind_of_finding_is_planted(findings: dict[str, Finding]) -> None:
    kinds = {name.split("-")[0] for name in PLANTS}
    assert {name.split("-")[0] for name in findings} == kinds


def test_planted_splits_are_certain_where_the_table_shows_them() -> None:
    (shared,), (left_out,) = audit(group_by_number()), audit(leave_class_out())
    assert shared.confidence == left_out.confidence == "certain"
    assert shared.values["shared"] == 1.0
    assert (left_out.values["n_described"], left_out.values["n_released"]) == (720, 480)


def test_a_planted_split_that_the_table_does_not_show_is_not_certain() -> None:
    # With as many utterances of each number as of each speaker, both splits have test parts of one size.
    sources = make_sources(tasks=(make_task("ONE", released_group="number"),), n_speakers=30, n_takes=30)
    (finding,) = audit(sources)
    assert finding.values["n_test_released"] == finding.values["n_test_described"]
    assert finding.confidence == "likely"


def test_a_planted_duplicate_says_that_its_labels_contradict() -> None:
    (finding,) = audit(repeat_recording())
    assert finding.values == {"n_duplicates": 1, "n_contradicting": 1, "n_in_use": 1}


def test_a_mean_that_one_misprint_explains_is_told() -> None:
    sources = make_sources()
    table = sources.accuracies.copy()
    table.loc["model 3", "ONE"] += 3.0
    changed = dataclasses.replace(sources, accuracies=table)
    means = [finding for finding in audit(changed) if finding.name.startswith("means")]
    assert [finding.values["single_cells"] for finding in means] == [["ONE"]]


def test_shemo_is_certain(findings: dict[str, Finding]) -> None:
    values = findings["shared-speakers-SHE"].values
    assert findings["shared-speakers-SHE"].confidence == "certain"
    assert (values["n_test_released"], values["n_test_described"], values["n_rows"]) == (372, 738, 13)
    assert values["n_fitting_released"] == 13
    assert sorted(values["impossible_described"]) == [84.9, 86.8, 89.5, 90.6]
    assert (values["n_groups"], values["n_speakers"], values["shared"]) == (87, 87, 1.0)


def test_iem4_rests_on_code_and_weighted_means(findings: dict[str, Finding]) -> None:
    finding = findings["shared-speakers-IEM"]
    assert (finding.values["n_test_released"], finding.values["n_test_described"]) == (1122, 1157)
    assert finding.values["n_fitting_released"] == finding.values["n_fitting_described"] == 13
    assert finding.values["chance"] == 1.0
    assert finding.values["shared"] == 1.0
    assert (finding.values["n_exact_means_released"], finding.values["n_exact_means_described"]) == (12, 3)
    assert finding.confidence == "very likely"


def test_cafe_is_certain(findings: dict[str, Finding]) -> None:
    values = findings["left-out-classes-CAF"].values
    assert findings["left-out-classes-CAF"].confidence == "certain"
    assert (values["n_described"], values["n_released"], values["n_printed"]) == (936, 864, 864)
    assert (values["n_classes_printed"], values["n_classes_released"]) == (7, 6)
    assert (values["n_test_released"], values["n_fitting_released"]) == (216, 13)
    assert (values["n_test_described"], values["n_rows"] - values["n_fitting_described"]) == (234, 10)


def test_cremad_cannot_be_decided(findings: dict[str, Finding]) -> None:
    finding = findings["file-count-CRE"]
    assert finding.confidence == "cannot be decided"
    assert finding.values == {"n_printed": 7442, "n_listed": 7438, "fitting_sizes": [1556, 1558]}


def test_byol_a_512_has_means_that_do_not_follow(findings: dict[str, Finding]) -> None:
    assert [name for name in findings if name.startswith("means")] == ["means-BYOL-A-512"]
    values = findings["means-BYOL-A-512"].values
    assert (values["UM_printed"], round(values["UM_computed"], 1)) == (72.7, 71.4)
    assert (values["GM_printed"], round(values["GM_computed"], 1)) == (69.6, 69.8)
    assert (values["WM_printed"], round(values["WM_computed"], 1)) == (69.3, 69.5)
    assert values["n_agreeing_rows"] == 12
    assert values["single_cells"] == []


def test_iem4_durations_contradict_each_other(findings: dict[str, Finding]) -> None:
    assert [name for name in findings if name.startswith("durations")] == ["durations-IEM"]
    values = findings["durations-IEM"].values
    assert (values["printed_mean_s"], values["printed_total_h"], values["n_printed"]) == (3.4, 7.0, 5531)
    assert round(values["implied_mean_s"], 1) == 4.6


def test_the_other_findings_of_the_paper(findings: dict[str, Finding]) -> None:
    assert findings["duplicates-CRE"].values == {"n_duplicates": 3, "n_contradicting": 3, "n_in_use": 0}
    assert findings["rare-classes"].values["SHE_fear"] == 0
    assert findings["narrow-test-parts"].values["SAV"] == 1
    assert findings["full-scale-click"].values["wrapped"] == -32768
    assert findings["training-crops"].values["share_heard"] == pytest.approx(0.095)
    assert 0.5 < findings["selection-on-test"].values["least_gap"] < findings["selection-on-test"].values["most_gap"]
    assert "rests on the code alone" in findings["class-order"].evidence


def test_the_release_is_tried_out() -> None:
    assert probe_release() == Procedure(
        selects_on="test",
        transductive=True,
        fixed_class_order=False,
        crops_anywhere=False,
        keeps_full_scale=False,
        hears_as_trained=False,
        same_recipe=False,
    )


def test_findings_are_complete_and_ready_for_json(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert finding.confidence in CONFIDENCES
        assert all(getattr(finding, name).endswith(".") for name in ("says", "does", "evidence", "consequence"))
        assert "nan" not in finding.as_paragraph().lower().split()
        assert "https://" not in finding.as_paragraph()
        json.dumps(finding.as_dict(), default=lambda value: value.item(), allow_nan=False)


def test_the_table_of_findings_has_one_row_each(findings: dict[str, Finding]) -> None:
    table = tabulate_findings(list(findings.values()))
    assert list(table["name"]) == list(findings)
    assert isinstance(tabulate_findings([]), pd.DataFrame)


def test_crops_begin_anywhere_with_the_right_sign_only() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    assert {place_crop(160_000, 15_200, rng, reversed_sign=True) for _ in range(50)} == {0}
    starts = [place_crop(160_000, 15_200, rng) for _ in range(500)]
    assert min(starts) < 15_000
    assert 130_000 < max(starts) <= 160_000 - 15_200
    assert place_crop(15_200, 15_200, rng) == place_crop(9_000, 15_200, rng) == 0


def test_findings_are_written_for_the_book(findings: dict[str, Finding]) -> None:
    text = write_findings(list(findings.values()))
    assert text.count("### ") == len(findings)
    for label in ("The paper", "The code and the tables", "Evidence", "Consequence", "How sure"):
        assert text.count(f"**{label}.**") == len(findings)


def test_measured_orders_are_told(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    rows = [("a b", 0.7), ("b a", 0.75), ("a b", 0.755)]
    table = pd.DataFrame(rows, columns=["classes", "released"]).assign(task="RAV", model="byol-s-512", best_params="{}")
    table.to_csv(tmp_path / "audit" / "label_order.csv", index=False)
    sources = make_sources(
        procedure=Procedure(fixed_class_order=False), orders=read_measurement(Results(tmp_path), "label_order")
    )
    sources = dataclasses.replace(sources, tasks=(*sources.tasks, get_task("RAV")))
    (finding,) = find_class_order(sources)
    assert (finding.values["embeddings"], finding.values["n_orders"]) == ("byol-s-512", 3)
    assert (finding.values["lowest"], finding.values["highest"]) == pytest.approx((70, 75.5))
    assert "Over 2 random orders and the release's" in finding.evidence
    assert "75.0 in the median and 70.0 in the release's. 2 of these 3 orders give 75.0 % or more" in finding.evidence
    assert read_measurement(Results(tmp_path / "elsewhere"), "label_order").empty


def test_the_kept_leaks_are_read_with_the_results() -> None:
    """Each row of the committed table is a difference of two accuracies on the same utterances."""
    leaks = Sources.read(results=ROOT / "results").leaks
    assert set(leaks["task"]) == {"RAV"}
    np.testing.assert_allclose(leaks["leak"], leaks["with_leak"] - leaks["without"], atol=2e-6)
    assert Sources.read().leaks.empty
