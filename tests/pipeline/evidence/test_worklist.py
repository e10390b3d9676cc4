"""From p-values to a list: false discovery rates over the whole night and inside each group."""

import numpy as np
import pyarrow as pa
import pytest

from s2sw.pipeline.evidence.discoveries import q_values
from s2sw.pipeline.evidence.worklist import listed
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.tables import WORKLIST
from tests.support.finished_runs import SECOND, SETTINGS
from tests.support.rows import made_id

COUNT = 400


def units() -> pa.Table:
    """Return units of two groups, one full of small p-values; some have no past, some no value."""
    rng = np.random.default_rng(2)
    groups = np.array(["CT", "MR"])[np.arange(COUNT) % 2]
    p = np.where(groups == "MR", rng.random(COUNT) ** 6, rng.random(COUNT))
    order = np.argsort(p)
    known: dict[str, object] = {
        "object_id": [made_id(SECOND, n) for n in range(COUNT)], "slice_index": [0] * COUNT,
        "slice_p_value": p[order], "n_slices": [1] * COUNT, "score": 1 - p[order], "group": groups[order],
        "n_past": [1000] * COUNT, "first_night": np.arange(COUNT) % 50 == 7,
        "p_value": np.where(np.arange(COUNT) % 50 == 9, np.nan, p[order]),
    }  # fmt: skip
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in known.items()})


@pytest.mark.parametrize("size", [{"fdr": 0.1}, {"fdr": 0.3}, {"budget": 30}])
def test_rates_are_those_of_the_night_and_of_each_group(size: dict[str, float]) -> None:
    table = units()
    made = listed(table, SECOND, SETTINGS, FlagSettings.model_validate(size), WORKLIST).table
    assert made.schema.equals(WORKLIST)
    groups = table["group"].to_numpy()
    tested = np.where(table["first_night"].to_numpy(), np.nan, table["p_value"].to_numpy())
    whole, own = (made[name].to_numpy() for name in ("q_value", "q_group"))
    np.testing.assert_array_equal(whole, q_values(tested))
    for name in ("CT", "MR"):
        np.testing.assert_array_equal(own[groups == name], q_values(tested[groups == name]))
    assert np.nanmedian(own[groups == "MR"]) < np.nanmedian(whole) < np.nanmedian(own[groups == "CT"])
    on_list = made["listed"].to_numpy()
    expected = np.arange(COUNT) < 30 if "budget" in size else whole <= size["fdr"]
    np.testing.assert_array_equal(on_list, expected)
