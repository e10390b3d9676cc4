"""Slices of a series come in the order in which they lie in the patient."""

from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.geometry import UNKNOWN_PLANE, Geometry
from s2sw.pipeline.results.anatomy import in_order
from s2sw.schemas.tables import Row


def row(object_id: str, uri: str | None = None) -> Row:
    return {"object_id": object_id, "slice_index": 0, "uri": uri, "score": 0.5}


def axial(height: float, instance: float | None = None) -> Geometry:
    return Geometry(along_row=(1, 0, 0), along_col=(0, 1, 0), position=(3, 4, height), instance=instance)


def coronal(depth: float, instance: float) -> Geometry:
    return Geometry(along_row=(1, 0, 0), along_col=(0, 0, -1), position=(0, depth, 0), instance=instance)


@given(st.permutations("abcdefg"))
def test_stacks_follow_each_other_and_numbers_decide_at_one_place(order: list[str]) -> None:
    planes = {
        "a": axial(5, 9), "b": axial(7.5, 8), "c": axial(7.5, 10), "d": coronal(2, 1), "e": coronal(1, 2),
        "f": Geometry(instance=3),
    }  # fmt: skip
    found = [
        one["object_id"]
        for one in in_order(
            [row(name) for name in order], lambda one: planes.get(one["object_id"], UNKNOWN_PLANE)
        )
    ]
    assert "".join(found) == "edabcfg"
