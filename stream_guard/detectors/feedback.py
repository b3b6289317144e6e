"""A linear model that starts from shipped weights and that analysts teach."""

import math
from collections.abc import Mapping
from typing import Any

from river import linear_model, optim
from river.utils import VectorDict

from stream_guard.detectors.base import Features, refuse_non_finite, shares


class FeedbackModel:
    """Logistic regression over how unusual each signal is: the weights say why, and feedback moves them.

    Features are within 0..1 (or -1..1) and the gradient of one feedback is at most 1, so one feedback moves a weight by
    at most `learning_rate`, and all of them together by at most `reach` and never across 0: no analyst (and nobody who
    plays one) can turn a signal around.

    Parameters
    ----------
    weights
        Shipped weight of each feature, in log-odds at unusualness 1. Other features are ignored, missing ones are 0.
    intercept
        Log-odds of an account of which every signal is usual; it is not learnt, so feedback about one account does not
        move all of them.
    learning_rate
        Most that one feedback moves one weight.
    reach
        Most that all feedback moves one weight from what was shipped.
    least
        Least value of a feature, 0 or -1; what is beyond it or 1 counts as much as they do.

    Examples
    --------
    >>> model = FeedbackModel({"template": 4.0, "rate": 2.0}, intercept=-3.0)
    >>> x = {"template": 0.5, "rate": 1.0}
    >>> round(model.score_one(x), 2), model.contributions(x)
    (0.73, {'rate': 2.0, 'template': 2.0})
    >>> for _ in range(20):
    ...     model.learn_one(x, False)
    >>> round(model.score_one(x), 2)
    0.4
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        intercept: float = -4.0,
        learning_rate: float = 0.1,
        reach: float = 2.0,
        least: float = 0.0,
    ) -> None:
        refuse_non_finite(weights)
        self.shipped = {name: float(weights[name]) for name in sorted(weights)}
        self.reach = reach
        self.least = least
        self.lessons = 0
        self._model: Any = linear_model.LogisticRegression(
            optimizer=optim.SGD(learning_rate), intercept_init=intercept, intercept_lr=0.0, clip_gradient=1.0
        )
        self._set(self.shipped)

    @property
    def weights(self) -> dict[str, float]:
        """The weights as they are now."""
        return dict(self._model.weights)

    def adopt(self, weights: Mapping[str, float], intercept: float) -> None:
        """Take the shipped weights of this version of the program; what was learnt stays, as a difference to them."""
        refuse_non_finite(weights)
        self._model.intercept = intercept
        if self.shipped == dict(weights):
            return  # and not a bit of them moves
        learnt = {name: weight - self.shipped[name] for name, weight in self.weights.items()}
        self.shipped = {name: float(weights[name]) for name in sorted(weights)}
        self._set(self._within({name: weight + learnt.get(name, 0.0) for name, weight in self.shipped.items()}))

    def score_one(self, x: Features) -> float:
        """Return the probability that the account is malicious, as far as its signals say. Raises ValueError."""
        return float(self._model.predict_proba_one(self._row(x))[True])

    def learn_one(self, x: Features, y: bool) -> None:
        """Learn that an account is malicious (True) or benign. Raises ValueError, and then has learnt nothing."""
        self._model.learn_one(self._row(x), y)
        self.lessons += 1
        self._set(self._within(self.weights))

    def contributions(self, x: Features) -> dict[str, float]:
        """Return weight times value of each feature that speaks, in log-odds. Raises ValueError."""
        weights = self.weights
        return {name: weights[name] * value for name, value in self._row(x).items() if value}

    def explain_one(self, x: Features) -> dict[str, float]:
        """Return the contributions as parts of 1, those that lower the score below 0. Raises ValueError."""
        return shares(self.contributions(x))

    def _row(self, x: Features) -> dict[str, float]:
        refuse_non_finite(x)
        return {name: min(1.0, max(self.least, x.get(name, 0.0))) for name in self.shipped}

    def _within(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Return weights that are no further from the shipped ones than allowed."""
        bounded = {}
        for name, weight in weights.items():
            shipped = self.shipped[name]
            low, high = shipped - self.reach, shipped + self.reach
            low, high = (max(low, 0.0) if shipped > 0 else low), (min(high, 0.0) if shipped < 0 else high)
            bounded[name] = min(high, max(low, weight))
        return bounded

    def _set(self, weights: Mapping[str, float]) -> None:
        # River has no public way to start from given weights.
        self._model._weights = VectorDict(dict(weights), optim.initializers.Zeros())  # noqa: SLF001


def log_odds(probability: float) -> float:
    """Return the log-odds of a probability within 0..1, for intercepts and weights.

    Examples
    --------
    >>> log_odds(0.5), round(log_odds(0.018), 1)
    (0.0, -4.0)
    """
    return math.log(probability / (1.0 - probability))
