"""A detector that shows whether two batches are in hand at once."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2sw.model.detectors.contract import Detection
from tests.support.null_detector import NullDetector

AT_ONCE = 2
PATIENCE = 60.0
"""Seconds that a batch waits for the other one, which never comes where one is taken after the other."""


class MeetingDetector(NullDetector):
    """Scores a batch only while another thread has one in hand as well."""

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._meeting = threading.Barrier(AT_ONCE)

    def detect(self, images: NDArray[np.uint8], class_names: Sequence[str] | None = None) -> Detection:
        if self._started:
            self._meeting.wait(PATIENCE)
        self._started = True  # the first one comes alone, when the actor starts
        return super().detect(images, class_names)
