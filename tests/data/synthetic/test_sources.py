from __future__ import annotations

from pathlib import Path

from hmr_light.data.synthetic.sources import digest_of, files_below


def test_other_files_make_another_dataset(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(number))
    before = digest_of(files_below(str(tmp_path), (".jpg",), "scene.photographs"))
    (tmp_path / "4.jpg").write_bytes(bytes(9))
    assert digest_of(files_below(str(tmp_path), (".jpg",), "scene.photographs")) != before
