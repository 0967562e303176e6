"""Learning rates. In: a step, counted from 0. Out: the factor of the peak."""

from __future__ import annotations

import math

from train.settings import StageSettings


def factor(settings: StageSettings, step: int) -> float:
    """The learning rate of a step, as a share of `settings.learning_rate`.

    Rises linearly over the warm-up. Then `cosine`: half a wave, to 0 at the last step. Or `step`:
    the peak until 80 % of all steps, 31.6 % of it (the root of a tenth) until 90 %, then 10 %
    (DeepSeek LLM, arXiv 2401.02954, section 2.3).
    """
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    if settings.schedule == "step":
        done = step / settings.steps
        return 1.0 if done < 0.8 else 10**-0.5 if done < 0.9 else 0.1
    left = max(1, settings.steps - settings.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - settings.warmup) / left)))
