"""What a rank loads on its way to the first step, loaded once: ranks are forked from here.

Nothing of torch is computed: its threads would not live in a fork.
"""

from __future__ import annotations

import numpy as np
import torch._dynamo
import torch.distributed.checkpoint
import torch.distributed.fsdp  # noqa: F401

import train.run  # noqa: F401
from train.mixing import Mixer
from train.order import Order
from train.packing import Limits, pack

_FEW = np.arange(1, 9)
# Compiled code comes from its cache, with half of numba.
Order([8], seed=0, window=1).locate(0, _FEW - 1)
Mixer(["a"]).draw({"a": 1.0}, _FEW[None], len(_FEW))
pack(_FEW, _FEW * 0, Limits(16, 0))
