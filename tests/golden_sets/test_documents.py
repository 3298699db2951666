"""Documents on disk that somebody has tampered with: one clear error each."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden_sets.documents import read_record
from golden_sets.errors import InputError
from golden_sets.records import Record

FORMAT = "a-test-v1"


class Number(Record):
    """A record with a number and a word."""

    value: float
    n: int = 0
    word: str = ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"value": NaN}', "not a valid number: nan"),
        ('{"value": -Infinity}', "not a valid number: -inf"),
        ('{"value": 1, "n": 1152921504606846976}', "not a valid number: 1152921504606846976"),
        ('{"value": 1, "word": "\\ud800"}', "not a valid number: "),
        ('{"value": 1, "n": ' + "9" * 5000 + "}", "too many digits"),
        ("[" * 200_000, "nested too deeply"),
        ('{"value": "much"}', "not a valid number: value"),
    ],
)
def test_what_cannot_be_such_a_record_is_told_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "number.json"
    path.write_text(f'{{"format": "{FORMAT}", "digest": "", "number": {text}}}' if text[0] == "{" else text)
    with pytest.raises(InputError, match=told) as caught:
        read_record(path, FORMAT, "number", Number)
    assert str(path) in str(caught.value)
