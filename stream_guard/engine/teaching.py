"""The judge of clusters, taught by analysts: its shipped weights are where it starts from, and never far away.

An analyst's word on a campaign is a lesson for the same linear model that single accounts have (`FeedbackModel`), over
the features that the campaign was judged on, as parts of the scales beyond which they count no more.
"""

import numpy as np
from numpy.typing import NDArray

from stream_guard.campaigns import judge
from stream_guard.detectors import FeedbackModel
from stream_guard.detectors.state import dump, load

LEARNING_RATE = 0.2
"""Most that one word moves a weight, in log odds at four scales from the centre."""
REACH = 1.0
"""Most that all words together do: a quarter of a log odd a scale. And no weight ever crosses 0."""


class ClusterTeacher:
    """Holds the weights that clusters are judged with.

    Parameters
    ----------
    convict
        Log odds from which a cluster is a campaign: what lies there may as well be honest, so that is where a word
        teaches most.
    """

    def __init__(self, convict: float) -> None:
        self._convict = convict
        self._model = FeedbackModel(
            _shipped(), intercept=judge.BIAS - convict, learning_rate=LEARNING_RATE, reach=REACH, least=-1.0
        )

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights as they are now, in the order of `judge.FEATURES`; exactly the shipped ones before any word."""
        weights: NDArray[np.float64] = judge.WEIGHTS
        if self._model.lessons:
            taught = self._model.weights
            weights = np.array([taught[name] for name in judge.FEATURES]) / judge.CLIP
        return weights

    def learn(self, features: NDArray[np.float64], *, malicious: bool) -> None:
        """Learn what a cluster with these features (shrunk, as it was judged) was. Raises ValueError if not finite."""
        at = (judge.scaled(features) / judge.CLIP).tolist()
        self._model.learn_one(dict(zip(judge.FEATURES, at, strict=True)), malicious)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        return dump(self._model)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot: what was learnt, upon the weights that this program ships. Raises SnapshotError."""
        self._model = load(state)
        self._model.adopt(_shipped(), judge.BIAS - self._convict)


def _shipped() -> dict[str, float]:
    return dict(zip(judge.FEATURES, (judge.WEIGHTS * judge.CLIP).tolist(), strict=True))
