"""Guesses about how long something takes, and the moment to look that costs the least. Pure: numbers in and out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEEPNESS_OF_1: Final = math.pi / math.sqrt(3)
_STEEPEST: Final = 400.0
_LARGEST_EXPONENT: Final = 500.0
_STEP: Final = 1.12
_SURE: Final = 0.99
# Where a guess is looked into: how likely it has ended by then.
_LIKELY: Final = (0.02, 0.1, 0.3, 0.5, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.98, 0.987, 0.992, 0.995, 0.997, 0.9985)


@dataclass(frozen=True, slots=True)
class Guess:
    """A log-logistic distribution of a length in seconds, of which ``spent_s`` have passed without an end.

    Its tail falls like a power: what has outlived the guess is expected to go on in proportion to its age.
    """

    weight: float
    median_s: float
    steepness: float
    spent_s: float = 0.0

    @property
    def survival(self) -> float:
        """How likely it was to last for what has been spent."""
        return self._beyond(self.spent_s)

    def done_in(self, seconds: float) -> float:
        """How likely it ends within ``seconds`` from now."""
        return 1.0 - self._beyond(self.spent_s + seconds) / self.survival

    def half_left_s(self) -> float:
        """Seconds from now within which it ends or does not, equally likely."""
        return self.ends_within_s([0.5])[0]

    def ends_within_s(self, likely: Sequence[float]) -> list[float]:
        """Seconds from now within which it ends, for each of these likelihoods."""
        survival, steep, median_s, spent_s = self.survival, self.steepness, self.median_s, self.spent_s
        exponents = [math.log(1.0 / (survival * (1.0 - each)) - 1.0) / steep for each in likely]
        # A guess that knows next to nothing has its late ends beyond all numbers.
        return [median_s * math.exp(min(exponent, _LARGEST_EXPONENT)) - spent_s for exponent in exponents]

    def _beyond(self, length_s: float) -> float:
        if length_s <= 0.0:
            return 1.0
        exponent = self.steepness * (math.log(length_s) - math.log(self.median_s))
        return 1.0 / (1.0 + math.exp(min(exponent, _LARGEST_EXPONENT)))


def steepness(deviation: float) -> float:
    """Of the guess whose logarithm has this standard deviation."""
    return min(_STEEPNESS_OF_1 / max(deviation, 1e-6), _STEEPEST)


def best_look(guesses: Sequence[Guess], *, price_s: float, early: float, low_s: float, high_s: float) -> float:
    """Seconds until the look that costs the least, from ``low_s`` to ``high_s``. The weights add up to 1.

    A look after the end costs how late it is. One before it costs ``price_s``, and ``early`` of what is then still
    ahead. A sharp guess is so met just behind its end, where missing it is unlikely; a vague one well before.

    >>> sharp, vague = Guess(1.0, 20.0, steepness(0.05)), Guess(1.0, 20.0, steepness(0.6))
    >>> [round(best_look([guess], price_s=3, early=0.1, low_s=1, high_s=60)) for guess in (sharp, vague)]
    [21, 12]
    """
    best_s, least = low_s, math.inf
    before_s = before = cost = 0.0
    # What does not change with the moment is worked out once: this is where a forecast spends its time.
    ln, exp = math.log, math.exp
    curves = [(each.weight / each.survival, each.steepness, math.log(each.median_s), each.spent_s) for each in guesses]
    everything = sum(guess.weight for guess in guesses)
    for at_s in _moments(guesses, low_s, high_s):
        ahead = 0.0
        for weight, steep, middle, spent_s in curves:
            exponent = steep * (ln(spent_s + at_s) - middle)
            if exponent > _LARGEST_EXPONENT:  # noqa: PLR1730 - a call is felt in the innermost loop
                exponent = _LARGEST_EXPONENT
            ahead += weight / (1.0 + exp(exponent))
        done = everything - ahead
        mean = (before + done) / 2
        more = mean - early * (1.0 - mean)
        cost += more * (at_s - before_s)
        if (whole := cost + price_s * (1.0 - done)) < least:
            best_s, least = at_s, whole
        if done > _SURE or (more > 0.0 and cost >= least):
            break  # from here on waiting only costs more
        before_s, before = at_s, done
    return best_s


def _moments(guesses: Sequence[Guess], low_s: float, high_s: float) -> list[float]:
    """The moments that are weighed: some all over, and more of them around the end of each guess."""
    found = {end_s for guess in guesses for end_s in guess.ends_within_s(_LIKELY)}
    last_s = min(max(found), high_s)
    at_s = low_s
    while at_s < last_s:
        found.add(at_s)
        at_s *= _STEP
    return sorted({low_s, *(each for each in found if low_s < each < high_s), min(high_s, max(low_s, last_s))})
