from typing import Any

from ._cuda_emulated import Device as Device
from ._cuda_emulated import DeviceFailure as DeviceFailure
from ._cuda_emulated import counters as counters
from ._cuda_emulated import device_count as device_count
from ._cuda_emulated import is_emulated as is_emulated
from ._cuda_emulated import is_traced as is_traced
from ._cuda_emulated import kernel_names as kernel_names
from ._cuda_emulated import reset_counters as reset_counters
from ._cuda_emulated import seed as seed
from ._cuda_emulated import set_memory_limit as set_memory_limit
from ._cuda_emulated import set_seed as set_seed
from ._cuda_emulated import versions as versions
from ._cuda_emulated import why_no_device as why_no_device

def trace() -> dict[str, Any]: ...
def reset_trace() -> None: ...
def set_preemption(every: int) -> None: ...
