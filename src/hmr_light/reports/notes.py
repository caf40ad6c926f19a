"""What a reader of the comparison table must know, in each language: the set, the units, what rows differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hmr_light.cost.share import QUIET_SHARE
from hmr_light.reports.cells import printable
from hmr_light.reports.rows import CONSTANT, DIVERGED, PART, Row
from hmr_light.tracking.records import CONSTANT_SHARE

TEXTS = {
    "en": {
        "units": "MPJPE and ReconstructionError in mm{on}; InferenceTime in s, median of one image."
        " Bold: best of a column.",
        "on": " on {where}",
        "keypoints": "error_2d_percent: the mean distance in the image, in % of the longer side of the person's box;"
        " pck2d_05, pck2d_10: % of the joints nearer than 5 and 10 % of it.",
        "pt": "pt: (epoch) and time of the checkpoint; columns=[run_dir] shows its run's folder, named by the start.",
        "chosen": "errors on {where}, as evaluated_on= says: {count} of {rows} rows have them",
        "default": "errors on {where}: {count} of {rows} rows have them; no other set has more",
        "others": "; evaluated_on=NAME shows another set: {others}",
        "differ": "The rows differ in {}: {}",
        "differ_in": "The rows differ in {}: columns=[{}] shows which have the same.",
        "recipe": "Rows of one name were trained with different options: columns=[recipe] shows them.",
        "seeds": "±: mean and standard deviation (n−1) over runs of several seeds, of each seed the newest run.",
        "time": f"~: other processes took more than {1 - QUIET_SHARE:.0%} of the core meanwhile, so it is not compared;"
        " columns=[inference_ratio] shows the ratio to the yardstick network, measured in turns with it.",
        DIVERGED: "diverged: the checkpoint has no finite error.",
        CONSTANT: "constant: the predicted joints hardly depend on the image, they vary by less than"
        f" {CONSTANT_SHARE:.0%} of what the labels do (columns=[spread_mm,spread_labels_mm]). It is not compared.",
        PART: "part: the errors are of the first people of the set alone (limit=), and are not compared.",
    },
    "ko": {
        "units": "MPJPE, 재구성 오차: mm{on}. 추론 시간: s, 이미지 한 장의 중앙값. 굵은 글씨: 열에서 가장 좋은 값.",
        "on": " – 평가 세트: {where}",
        "keypoints": "error_2d_percent: 이미지에서의 평균 거리, 사람 상자의 긴 변에 대한 %;"
        " pck2d_05, pck2d_10: 그 거리가 5 %, 10 % 미만인 관절의 비율(%).",
        "pt": "pt: (에폭)과 체크포인트 저장 시각. 실행 폴더(이름은 시작 시각)는 columns=[run_dir]로 볼 수 있습니다.",
        "chosen": "평가 세트 {where} (evaluated_on= 선택): {rows}행 중 {count}행에 값이 있습니다",
        "default": "평가 세트 {where}: {rows}행 중 {count}행에 값이 있으며, 더 많은 세트는 없습니다",
        "others": "; evaluated_on=이름 으로 다른 세트를 볼 수 있습니다: {others}",
        "differ": "행마다 다른 {}: {}",
        "differ_in": "행마다 다른 {}: columns=[{}]로 볼 수 있습니다.",
        "recipe": "이름이 같은 행이라도 학습 설정이 다릅니다: columns=[recipe]로 볼 수 있습니다.",
        "seeds": "±: 시드가 다른 실행들의 평균과 표준편차(n−1); 시드마다 가장 최근 실행.",
        "time": f"~: 측정 중 다른 프로세스가 코어의 {1 - QUIET_SHARE:.0%} 넘게 썼으므로 비교하지 않습니다."
        " columns=[inference_ratio]는 번갈아 측정한 기준 네트워크에 대한 비율입니다.",
        DIVERGED: "diverged: 체크포인트에 유한한 오차가 없습니다(발산).",
        CONSTANT: "constant: 예측 관절이 이미지에 거의 따라 변하지 않습니다(정답 변화의"
        f" {CONSTANT_SHARE:.0%} 미만: columns=[spread_mm,spread_labels_mm]). 비교하지 않습니다.",
        PART: "part: 세트의 처음 일부 사람만으로 평가한 값이므로(limit=) 비교하지 않습니다.",
    },
}
DIFFERENCES = {
    "en": {
        "protocol": "protocol",
        "device": "device",
        "body": "body",
        "data_fingerprint": "data",
        "evaluation_fingerprint": "evaluation data",
    },
    "ko": {
        "protocol": "평가 방법",
        "device": "장치",
        "body": "신체 모델",
        "data_fingerprint": "데이터",
        "evaluation_fingerprint": "평가 데이터",
    },
}


def heading(rows: Sequence[Row], language: str, is_set_chosen: bool) -> str:
    """Which set the errors are of, why, and which others could be shown; empty where there is no set."""
    count = Counter(name for row in rows for name in row.evaluation_sets.split(",") if name)
    if not rows[0].evaluated_on:
        return ""
    texts = TEXTS[language]
    known = count.pop(rows[0].evaluated_on, 0)
    text = texts["chosen" if is_set_chosen else "default"].format(where=_where(rows), count=known, rows=len(rows))
    others = ", ".join(f"{printable(name)} ({number})" for name, number in count.most_common())
    return text + (texts["others"].format(others=others) if others else "")


def notes(rows: Sequence[Row], language: str, columns: Sequence[str]) -> list[str]:
    """The units, and what makes these rows hard to compare."""
    texts = TEXTS[language]
    where = _where(rows)
    found = [texts["units"].format(on=texts["on"].format(where=where) if where else "")]
    if any(row["error_2d_percent"] is not None for row in rows):
        found.append(texts["keypoints"])
    if "run_dir" not in columns and any(row.run_dir for row in rows):
        found.append(texts["pt"])
    for field, name in DIFFERENCES[language].items():
        values = dict.fromkeys(value for row in rows if (value := row[field]))
        if len(values) > 1 and field.endswith("_fingerprint"):  # a hash tells a reader nothing
            found.append(texts["differ_in"].format(name, field))
        elif len(values) > 1:
            found.append(texts["differ"].format(name, ", ".join(printable(value)[:40] for value in values)))
    if any(row.recipe for row in rows) and "recipe" not in columns:
        found.append(texts["recipe"])
    if any(row.runs > 1 for row in rows):
        found.append(texts["seeds"])
    if any(row.time_mark for row in rows):
        found.append(texts["time"])
    return found + [texts[state] for state in (DIVERGED, CONSTANT, PART) if any(state in row.state for row in rows)]


def _where(rows: Sequence[Row]) -> str:
    """The set and the protocol."""
    row = rows[0]
    return printable(" ".join(filter(None, (row.evaluated_on, f"({row.protocol})" if row.protocol else ""))))
