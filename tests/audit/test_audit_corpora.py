"""Recordings that are there twice, rare classes, transductive features and full-scale samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import write_savee
from statsmodels.stats.proportion import proportion_confint

from serab_lib.audit.corpora import (
    count_classes,
    count_full_scale,
    find_duplicates,
    find_rare_classes,
    hash_audio,
    is_transductive,
    list_unusable,
    wrap_full_scale,
)
from serab_lib.audit.sources import hash_corpora
from serab_lib.corpora.task import TASKS


def test_cremad_has_three_pairs_with_contradicting_labels() -> None:
    found = find_duplicates("CRE")
    assert found["files"].tolist() == [
        ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
        ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
        ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
    ]
    assert found["contradicting"].all()
    assert (found["n_used"] == 1).all()


def test_a_task_without_digests_has_no_known_duplicates() -> None:
    assert find_duplicates("EMB").empty


def test_planted_copies_are_found_by_sound_whatever_the_format(tmp_path: Path) -> None:
    write_savee(tmp_path)
    folder = tmp_path / "savee"
    samples, rate = soundfile.read(folder / "DC_a01.wav", dtype="int16")
    (folder / "JK_sa02.wav").unlink()
    soundfile.write(folder / "JK_sa02.flac", samples, rate)
    found = find_duplicates("SAV", hash_audio("SAV", tmp_path))
    assert found[["files", "contradicting", "n_used"]].to_numpy().tolist() == [[("DC_a01", "JK_sa02"), True, 2]]


def test_undecodable_files_are_no_copies_of_each_other(tmp_path: Path) -> None:
    write_savee(tmp_path)
    for name in ("DC_a01.wav", "DC_a02.wav"):
        (tmp_path / "savee" / name).write_bytes(b"no audio")
    digests = hash_audio("SAV", tmp_path)
    assert (digests["sha256"] == "").sum() == 2
    assert find_duplicates("SAV", digests).empty


def test_samples_at_full_scale_are_counted(tmp_path: Path) -> None:
    write_savee(tmp_path)
    samples, rate = soundfile.read(tmp_path / "savee" / "DC_a01.wav", dtype="int16")
    samples[[3, 5, 8]] = 32767, 32767, -32768
    soundfile.write(tmp_path / "savee" / "DC_a01.wav", samples, rate)
    counts = count_full_scale(hash_corpora((TASKS["SAV"], TASKS["RAV"]), tmp_path)["SAV"])
    assert counts.to_dict() == {"n_files": 84, "n_affected": 1, "n_samples": 3}


def test_full_scale_wraps_and_nothing_else_does() -> None:
    samples = np.arange(-32768, 32768)
    moved = wrap_full_scale(samples).astype(int) - samples
    assert samples[np.abs(moved) > 1].tolist() == [-32768, 32767]


def test_shemo_has_38_of_fear_and_none_in_the_released_test_part() -> None:
    table = count_classes(tasks=["SHE"]).set_index(["protocol", "emotion"])
    assert table.loc[("described", "fear"), ["n_total", "n_test"]].tolist() == [38, 10]
    assert table.loc[("released", "fear"), ["n_total", "n_test"]].tolist() == [38, 0]
    assert np.isnan(table.loc[("released", "fear"), "half_width"])


def test_cafes_neutral_is_not_in_the_released_split() -> None:
    table = count_classes(tasks=["CAF"]).set_index(["protocol", "emotion"])
    assert table.loc[("described", "neutral"), "n_total"] == 72
    assert table.loc[("released", "neutral"), "n_total"] == 0


def test_half_widths_are_wilsons() -> None:
    rare = find_rare_classes(count_classes(tasks=["EMB"]), n_enough=20)
    even = rare[rare["n_test"] % 2 == 0]
    assert len(even)
    for row in even.itertuples():
        low, high = proportion_confint(row.n_test // 2, row.n_test, method="wilson")
        assert row.half_width == pytest.approx(100 * (high - low) / 2)


def test_normalisation_is_transductive() -> None:
    assert is_transductive()


def test_unusable_files_have_reasons() -> None:
    table = list_unusable()
    assert {"s05 (3)", "1040_ITH_SAD_XX", "1076_MTI_SAD_XX"} <= set(table["file"])
    assert table.loc[table["file"] == "1076_MTI_SAD_XX", "used"].tolist() == [True]
    assert table["reason"].str.len().min() > 10
