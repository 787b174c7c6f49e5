"""A stand-in for a GPU: tensors that say they lie on ``cuda:0`` and keep their values on the CPU.

What a card would refuse is refused: an operation on tensors of both sides, NumPy of a tensor that
was not brought back. So code that never met a GPU is seen to keep the two apart, and learns the
same there as here. It says nothing of speed, memory or rounding; ``torch.autocast`` changes no
dtype on it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

CARD = torch.device("cuda", 0)
MOVES = {"aten::copy_", "aten::_to_copy", "aten::to"}
MAKES = {"aten::_to_copy", "aten::to", "aten::scalar_tensor"}
TAKES_PLACES = {
    "aten::index",
    "aten::_unsafe_index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
}
"""Where CUDA's own kernels take the places, and only these, from the CPU."""
SAID = {
    "_lazy_init": None,
    "current_device": 0,
    "device_count": 1,
    "empty_cache": None,
    "get_device_capability": (9, 0),
    "get_device_name": "a stand-in",
    "get_device_properties": SimpleNamespace(
        name="a stand-in", total_memory=16 << 30, uuid="GPU-stand-in"
    ),
    "get_per_process_memory_fraction": 1.0,
    "is_available": True,
    "is_bf16_supported": True,
    "is_current_stream_capturing": False,
    "is_initialized": True,
    "manual_seed": None,
    "manual_seed_all": None,
    "max_memory_allocated": 0,
    "memory_allocated": 0,
    "reset_peak_memory_stats": None,
    "set_device": None,
    "set_per_process_memory_fraction": None,
    "set_rng_state": None,
    "synchronize": None,
}
"""What ``torch.cuda`` answers."""


class OnCard(Tensor):
    """A tensor on the card; autograd takes it for one without values, which it leaves alone."""

    value: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, value: Tensor) -> "OnCard":
        # A view of a weight has to be one under inference, too.
        with torch.inference_mode(False):
            made: OnCard = Tensor._make_wrapper_subclass(
                cls,
                value.shape,
                strides=value.stride(),
                storage_offset=value.storage_offset(),
                dtype=value.dtype,
                device=torch.device("meta"),
            )
        made.value = value
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CARD

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def numpy(self, **_: object) -> NoReturn:
        raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def data_ptr(self) -> int:
        return self.value.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.value.untyped_storage()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.value!r})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        return _computed(func, args, kwargs or {})


class _Driver(TorchDispatchMode):
    """Sees what is made on the card, or moved to it."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        return _computed(func, args, kwargs or {})


@contextmanager
def stand_in_gpu() -> Iterator[None]:
    """Have torch find one GPU, named ``cuda:0``, in all threads that are started here."""
    run = threading.Thread.run

    def driven(thread: threading.Thread) -> None:
        with _Driver():
            run(thread)

    with ExitStack() as stack:
        for name, answer in SAID.items():
            stack.enter_context(patch.object(torch.cuda, name, _saying(answer), create=True))
        numbers = patch.object(torch.cuda, "get_rng_state", lambda *_: torch.get_rng_state())
        stack.enter_context(numbers)
        stack.enter_context(patch.object(threading.Thread, "run", driven))
        stack.enter_context(_Driver())
        yield


def _saying(answer: object) -> Callable[..., object]:
    return lambda *_, **__: answer


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> object:
    """Compute an operation on the CPU; its results lie where a card would leave them."""
    name, leaves = func._schema.name, list(_leaves((*args, *kwargs.values())))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    card = [tensor for tensor in tensors if isinstance(tensor, OnCard)]
    if card:
        _refuse_both_sides(name, args, tensors)
    devices = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
    there = _is_there(name, devices, tensors)
    here = torch.device("cpu")

    def local(leaf: Any) -> Any:
        if isinstance(leaf, OnCard):
            return leaf.value
        return here if isinstance(leaf, torch.device) and (there or card) else leaf

    named = {key: _mapped(local, value) for key, value in kwargs.items()}
    if there:
        named.pop("pin_memory", None)
    out = func(*_mapped(local, args), **named)
    if not there:
        return args[0] if name == "aten::copy_" else out
    given = {id(tensor.value): tensor for tensor in card}
    plain = {id(tensor) for tensor in tensors}

    def remote(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if func._schema.is_mutable and id(leaf) in given:
            return given[id(leaf)]
        return OnCard(leaf.clone() if id(leaf) in plain else leaf)

    return _mapped(remote, out)


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _leaves(value)
        else:
            yield value


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """Return ``value`` with its leaves changed; as torch's pytree, in a fifth of the time."""
    if isinstance(value, (tuple, list)):
        return type(value)([_mapped(change, leaf) for leaf in value])
    return change(value)


def _is_there(name: str, devices: list[torch.device], tensors: list[Tensor]) -> bool:
    """Tell whether a result lies on the card.

    What torch makes itself like a tensor on the card it would make without values: in a backward
    pass, constants of an attention mask, ``one.to(other)``.
    """
    card = any(isinstance(tensor, OnCard) for tensor in tensors)
    if name == "aten::copy_":
        return isinstance(tensors[0], OnCard)
    if not devices:
        return card
    of_torch = card or name in MAKES or torch._C._current_graph_task_id() != -1
    return devices[0].type == "cuda" or (devices[0].type == "meta" and of_torch)


def _refuse_both_sides(name: str, args: Any, tensors: list[Tensor]) -> None:
    """Raise RuntimeError where a card would, for tensors of both sides; numbers go anywhere."""
    away = [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, OnCard)]
    if name in TAKES_PLACES and isinstance(args[0], OnCard):
        away = [value for value in args[2:3] if any(value is tensor for tensor in away)]
    if away and name not in MOVES:
        shapes = ", ".join(str(list(tensor.shape)) for tensor in away)
        raise RuntimeError(f"{name}: tensors are on cuda:0, and on the CPU: {shapes}")
