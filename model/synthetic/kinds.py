"""Every kind of surface and defect by name, and which kinds training never sees."""

from collections.abc import Callable

from s2sw.model.synthetic import bodies, defects, objects, patterns, photographs, textures
from s2sw.model.synthetic.colours import Surface
from s2sw.model.synthetic.defects import Defect
from s2sw.model.synthetic.fields import Rng

SurfaceKind = Callable[[Rng], Surface]

SURFACES: dict[str, SurfaceKind] = {
    kind.__name__: kind
    for kind in (
        textures.plain, textures.brushed, textures.granular, textures.woven, textures.wood, textures.plaster,
        textures.leather, textures.marble, textures.terrazzo, textures.flow, textures.bubbles,
        textures.blank, textures.static,
        patterns.tiles, patterns.mesh, patterns.perforated, patterns.grooves, patterns.solar_cell,
        patterns.circuit, patterns.wafer, patterns.printed, patterns.bars, patterns.rings,
        objects.thing, objects.ring, objects.pin, objects.several, objects.gear, objects.casting,
        bodies.head, bodies.trunk, bodies.radiograph, bodies.ultrasound, bodies.tissue, bodies.mucosa,
        bodies.skin, bodies.retina, bodies.slab, bodies.smear, photographs.photograph,
    )
}  # fmt: skip

DEFECTS: dict[str, Defect] = {
    kind.__name__: kind
    for kind in (
        defects.cracked, defects.scratched, defects.hole, defects.pits, defects.stained, defects.dent,
        defects.region, defects.missing, defects.pasted, defects.displaced, defects.swapped, defects.lesion,
        defects.smudged, defects.rough, defects.fibre, defects.lost_line, defects.tinted, defects.burnt,
        defects.warped, defects.cut_off, defects.dimmed,
    )
}  # fmt: skip

WEIGHTS = {
    "plain": 2.0, "brushed": 2.0, "granular": 2.0, "solar_cell": 3.0, "thing": 2.0, "ring": 1.5,
    "woven": 1.5, "cracked": 2.0, "hole": 2.0, "region": 1.5, "lesion": 1.5, "scratched": 1.5, "stained": 1.5,
    "photograph": 9.0, "casting": 1.5, "displaced": 0.5, "pasted": 0.7, "smudged": 0.7,
}  # fmt: skip
"""How often a kind is drawn; 1 where not named."""

OWN_ONLY = ("dimmed",)
"""Defects that tell nothing on surfaces whose brightness is free."""

READ = ("photograph",)
"""Surfaces that are not computed but read from a package; drawn only where a recipe asks for them."""
HELD_OUT_SURFACES = ("marble", "leather", "perforated", "gear", "ultrasound", "smear", "bars")
HELD_OUT_DEFECTS = ("burnt", "fibre", "rough")
"""Left out of training: how well they are found says how well a checkpoint transfers."""
