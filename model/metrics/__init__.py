"""How good a detector is: image and pixel metrics, exact, in bounded memory. Needs NumPy and SciPy alone."""

from model.metrics.images import image_metrics
from model.metrics.pixels import PixelMetrics
from model.metrics.ranking import Curve, Ranking

__all__ = ["Curve", "PixelMetrics", "Ranking", "image_metrics"]
