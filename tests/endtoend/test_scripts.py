"""Names in every script: what Python lets a variable be called is saved, shown, asked for and restored."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

#: A word or so in each; the last ones are letters that Python takes for others.
NAMES = [
    "données", "größe", "naïveté", "ångström", "число", "дані", "αβγ", "Ωμέγα", "მონაცემი", "տվյալներ", "נתונים",
    "بيانات", "داده", "ڈیٹا", "डेटा", "তথ্য", "ਡਾਟਾ", "ડેટા", "ତଥ୍ୟ", "தரவு", "డేటా", "ಡೇಟಾ", "ഡാറ്റ", "දත්ත", "ข้อมูล", "ຂໍ້ມູນ",
    "གཞི", "ဒေတာ", "ទិន្នន័យ", "데이터", "データ", "でーた", "数据", "資料", "ውሂብ", "ᏣᎳᎩ", "ᓄᓇᕗᑦ", "ᚠᚢᚦ", "𐤀𐤁", "𒀀𒁀", "𓀀𓁐",
    "ⵜⵉⴼⵉⵏⴰⵖ", "ߒߞߏ", "ꯃꯩꯇꯩ", "ᠮᠣᠩᠭᠣᠯ", "𞤀𞤁", "dữ_liệu", "_ª", "x1", "ﬁnal", "𝕏", "ĳ",
]  # fmt: skip


def test_they_come_back_and_can_be_asked_for(two_shells: Any) -> None:
    """Each is a variable, alone and by a pattern; a program reads it as JSON, a person in the listing."""
    assert all(name.isidentifier() for name in NAMES)
    kept = [unicodedata.normalize("NFKC", name) for name in NAMES]  # as Python's own parser has them
    assert len(set(kept)) == len(NAMES)
    source = "\n".join(f"{name} = [{number}]" for number, name in enumerate(NAMES))
    report = two_shells.save(source + "\ngenerator_數 = (x for x in [])\nglobals()['no identifier'] = 1")
    saved = {variable["name"] for variable in report["variables"]}
    assert {*kept, "no identifier"} <= saved  # the last one no statement can bind
    assert [skip["name"] for skip in report["skipped"]] == ["generator_數"]
    checks = {name: f"{name} == [{number}]" for number, name in enumerate(NAMES)}
    restored, wrong = two_shells.restore(checks)
    assert (restored["failed"], wrong) == ([], {})
    check = f"データ == [{NAMES.index('データ')}]"
    restored, wrong = two_shells.restore({"data": check}, "nbsnap.restore(only=['デ*', '数据', '𝕏'])")
    assert wrong == {}
    assert {variable["name"] for variable in restored["restored"]} == {"データ", "数据", "X"}
    shown = json.loads(two_shells.run("from nbsnap.cli import main; main(['show', 'latest', '--json'])").out)
    assert set(kept) <= {variable["name"] for variable in shown["variables"]}
