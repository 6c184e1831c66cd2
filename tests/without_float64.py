"""A device that has no float64, as MPS has none, for machines without one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class WithoutFloat64(TorchDispatchMode):
    """Makes one of the device `meta`: float64 is refused there, and what is read from it is 0."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        fields = kwargs or {}
        is_read = "device" in fields and fields["device"] == torch.device("cpu")
        if is_read and isinstance(args[0], Tensor) and args[0].is_meta:
            return torch.zeros(args[0].shape, dtype=fields.get("dtype") or args[0].dtype)
        result = func(*args, **fields)
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and each.is_meta and each.dtype == torch.float64:
                raise TypeError("this device has no float64")
        return result
