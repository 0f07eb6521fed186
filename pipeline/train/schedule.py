"""The learning rate at every step, as a share of its peak."""

import math
from collections.abc import Sequence

from pipeline.train.configs import Settings
from pipeline.train.data import Phase


def rate_at(step: int, settings: Settings, phases: Sequence[Phase]) -> float:
    """`wsd`: up from nothing, stable, and down to `final_rate` in the last `decay` of all steps (Hu et al. 2024, in a straight line).

    `phases`, as Skywork's report has its two stages: up and down again, along a cosine, in the first phase; constant at `final_rate` in all others. With
    one phase that is the usual cosine.
    """
    steps = phases[-1].end
    span = phases[0].end if settings.rate == "phases" else steps
    warmup = max(1, round(settings.warmup * span))
    if step < warmup:
        return (step + 1) / warmup
    if settings.rate == "phases":
        if step >= span:
            return settings.final_rate
        progress = (step - warmup) / max(1, span - warmup)
        return settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * progress)) / 2
    falling = round(settings.decay * steps)
    return 1.0 if not falling else 1 - (1 - settings.final_rate) * max(0.0, (step + 1 - (steps - falling)) / falling)
