from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalharness.outcomes import OutcomeTable
from golden_sets.errors import InputError
from tests.support.evidence import rows, table


def shuffled(of: OutcomeTable, seed: int = 0) -> OutcomeTable:
    return of.take(np.random.default_rng(seed).permutation(len(of)))


def varied() -> OutcomeTable:
    """Two arms, two sets, gaps of every kind."""
    return table(
        rows([1.0, 0.0, None], dim_tier=["easy", "hard", None], usd=0.5, ttft_s=[0.1, None, 0.3]),
        rows([None], error="timeout", start=3),
        rows([1.0, 1.0, 0.0], arm="incumbent", dim_tier=["easy", "hard", None], usd=0.25),
        rows([0.0, 1.0], kind="adversarial", dim_severity=["high", "low"], cluster="template"),
    )


class TestStorage:
    def test_equal_tables_give_equal_bytes_whatever_the_order_of_rows(self) -> None:
        assert shuffled(varied()).to_parquet() == varied().to_parquet()

    def test_a_view_is_written_without_what_it_left_out(self) -> None:
        of = varied()
        apart = table(
            rows([1.0, 1.0, 0.0], arm="incumbent", dim_tier=["easy", "hard", None], usd=0.25, dim_severity=None)
        )
        assert of.arm("incumbent").to_parquet() == apart.to_parquet()

    def test_reading_gives_the_rows_in_the_order_of_the_file(self) -> None:
        back = OutcomeTable.from_parquet(varied().to_parquet())
        expected = varied().frame.sort_values(["arm", "phase", "set_name", "prompt_id", "repeat"], ignore_index=True)
        pd.testing.assert_frame_equal(back.frame, expected)
        assert back.to_parquet() == varied().to_parquet()

    def test_the_file_holds_plain_text_and_numbers(self) -> None:
        schema = pq.read_schema(pa.BufferReader(varied().to_parquet()))
        assert schema.field("dim.tier").type == pa.large_string()
        assert schema.field("usd").type == pa.float64()
        assert schema.field("repeat").type == pa.int64()
        assert schema.metadata is None

    @pytest.mark.parametrize(
        ("columns", "what"),
        [
            ({"outcome": ["good"]}, "not a number"),
            ({"outcome": [[1.0]]}, "not a number"),
            ({"prompt_id": [[1.0]]}, "not a Parquet table of outcomes"),
            ({"colour": ["red"]}, "unknown outcome column"),
            ({"arm": ["candidate"], "outcome": [2.0]}, "'outcome' holds 2"),
            ({"arm": ["candidate"], "ttft_s": [-1.0]}, "'ttft_s' holds -1"),
            ({"arm": ["candidate"], "repeat": [0.5]}, "'repeat' holds 0.5"),
            ({"arm": ["candidate"]}, "'phase' is empty"),
            ({"arm": pa.array([], pa.string())}, "there are no outcomes"),
        ],
    )
    def test_other_files_are_refused(self, columns: dict[str, list[object]], what: str) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        with pytest.raises(InputError, match=what):
            OutcomeTable.from_parquet(sink.getvalue().to_pybytes())


class TestRows:
    def test_the_same_sample_twice_is_refused_and_named(self) -> None:
        twice = rows([1.0, 0.0, 1.0])
        twice[2]["prompt_id"] = "p1"
        with pytest.raises(InputError, match=r"two outcomes for .*'prompt_id': 'p1', 'repeat': '0'"):
            OutcomeTable.from_rows(twice)
        twice[2]["repeat"] = 1
        assert OutcomeTable.from_rows(twice).repeats().tolist() == [0, 0, 1]

    def test_a_frame_changed_afterwards_does_not_change_the_table(self) -> None:
        frame = varied().frame
        made = OutcomeTable.from_frame(frame)
        frame.loc[:, "usd"] = 7.0
        assert made.to_parquet() == varied().to_parquet()
        with pytest.raises(ValueError, match="read-only"):
            made.numbers("usd")[0] = 7.0

    def test_views_of_views(self) -> None:
        golden = varied().where({"set": "golden"})
        assert golden.arm("candidate").where({"tier": "hard"}).numbers("outcome").tolist() == [0.0]
        assert len(golden.where({"tier": "unheard of"})) == 0
        assert golden.arms == ("candidate", "incumbent")
        assert golden.failed().sum() == 1
        with pytest.raises(InputError, match="no dimension 'teir'"):
            golden.where({"teir": "hard"})

    def test_cells_are_the_combinations_that_occur(self) -> None:
        assert varied().cells([]) == [{}]
        assert varied().cells(["set", "tier"]) == [
            {"set": "golden", "tier": "easy"},
            {"set": "golden", "tier": "hard"},
        ]
        assert varied().where({"set": "golden"}).cells(["severity"]) == []
        assert varied().where({"set": "golden"}).without(["tier"]) == ["p2", "p3", "p2"]

    def test_clusters_never_span_sets(self) -> None:
        same = table(rows([1.0, 1.0], cluster="c"), rows([0.0], kind="adversarial", cluster="c"))
        codes = same.clusters()
        assert codes[0] == codes[1] != codes[2]


class TestWithArm:
    def test_the_others_candidate_becomes_the_arm_and_the_old_one_goes(self) -> None:
        other = table(rows([0.0, 0.0, 0.0], dim_tenant="acme"), rows([1.0], arm="incumbent"))
        joined = varied().with_arm("incumbent", other)
        assert joined.arm("incumbent").numbers("outcome").tolist() == [0.0, 0.0, 0.0]
        assert joined.dimensions == ("severity", "tenant", "tier")
        assert (
            joined.arm("candidate").to_parquet()
            == table(
                rows(
                    [1.0, 0.0, None], dim_tier=["easy", "hard", None], usd=0.5, ttft_s=[0.1, None, 0.3], dim_tenant=None
                ),
                rows([None], error="timeout", start=3),
                rows([0.0, 1.0], kind="adversarial", dim_severity=["high", "low"], cluster="template"),
            ).to_parquet()
        )
        assert [len(joined.arm(arm)) for arm in joined.arms] == [6, 3]

    def test_prompts_of_both_are_known_by_the_same_codes(self) -> None:
        joined = table(rows([1.0, 1.0])).with_arm("anchor", table(rows([0.0, 0.0])[::-1]))
        codes = joined.codes("prompt_id")
        assert codes[:2].tolist() == codes[2:][::-1].tolist()
