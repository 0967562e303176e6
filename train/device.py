"""What a device can do and has been asked for. In: a device. Out: figures for the log."""

from __future__ import annotations

import resource

import torch

#: By a part of the name; cards that clock lower come before what their name begins with.
_PEAKS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H200 NVL": 835.0,
    "H100": 989.4,
    "H200": 989.4,
    "B200": 2250.0,
    "A100": 312.0,
}


def peak_tflops(device: torch.device) -> float | None:
    """Dense bfloat16 teraflops of a common GPU, by its makers' data sheets."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)


def memory_gb(device: torch.device) -> float:
    """Gigabytes that this process has had at most on a device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
