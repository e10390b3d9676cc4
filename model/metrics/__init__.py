"""How good a detector is: image and pixel metrics, exact, in bounded memory. Needs NumPy and SciPy alone."""

from s2sw.model.metrics.images import image_metrics
from s2sw.model.metrics.pixels import PixelMetrics
from s2sw.model.metrics.ranking import Curve, Ranking

__all__ = ["Curve", "PixelMetrics", "Ranking", "image_metrics"]
