"""The GPU resource: it lends a step GPUs, mostly one or a share of one, and takes them back."""

import fcntl
import gc
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, get_args

import dagster as dg
from pydantic import Field, field_validator

from beauty_rec.settings import GpuSettings, Settings
from beauty_rec.settings.operation import Precision

MIB = 2**20


@dataclass
class Device:
    """What a step runs on. ``figures`` are filled at the end, for the metadata.

    Attributes:
        name: of the device, the first one where several are lent.
        precision: of the text encoder.
        numbers: of the lent GPUs.
    """

    name: str
    precision: str
    numbers: Sequence[int] = ()
    figures: dict[str, float] = field(default_factory=dict)

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with the encoder on this device; of GPUs those that are lent."""
        changes: dict[str, str] = {}
        if settings.encoder.device == "auto":
            changes["device"] = self.name
        if self.precision != "auto":
            changes["precision"] = self.precision
        encoder = settings.encoder.model_copy(update=changes)
        gpu = settings.gpu
        if self.numbers:
            gpu = gpu.model_copy(update={"visible_devices": tuple(self.numbers)})
        return settings.model_copy(update={"encoder": encoder, "gpu": gpu})


class GpuResource(dg.ConfigurableResource[Any]):
    """Lends a step GPUs that no other step of this machine holds, mostly one, or the CPU."""

    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda|cuda:\d+)$",
        description="auto: a free GPU of those visible, or the CPU where there is none",
    )
    precision: str = Field(
        default="auto",
        pattern=f"^({'|'.join(get_args(Precision))})$",
        description="of the text encoder",
    )
    memory_share: float = Field(
        default=1.0, gt=0, le=1, description="of the GPU's memory that the step may take"
    )
    visible_devices: list[int] = Field(
        default=[], description="numbers of the GPUs that may be used; empty: all"
    )

    @field_validator("visible_devices")
    @classmethod
    def _no_number_twice(cls, numbers: list[int]) -> list[int]:
        if len(set(numbers)) != len(numbers) or any(number < 0 for number in numbers):
            raise ValueError(f"visible_devices must be different numbers from 0, not {numbers}")
        return numbers

    @classmethod
    def of(cls, settings: GpuSettings) -> "GpuResource":
        """Return the resource that the settings describe."""
        return cls(
            device=settings.device,
            precision=settings.precision,
            memory_share=settings.memory_share,
            visible_devices=list(settings.visible_devices),
        )

    @contextmanager
    def lend(self, count: int = 1) -> Iterator[Device]:
        """Yield a device; its memory is given back at the end, also after an error.

        Args:
            count: GPUs that the step takes; where fewer may be used, these.

        Raises:
            RuntimeError: a GPU was asked for that this machine does not have.
        """
        numbers = _numbers(self.device, self.visible_devices)
        if not numbers:
            yield Device("cpu", self.precision)
            return
        import torch

        with ExitStack() as held:
            names = {number: _name_of(number) for number in numbers}
            lent = held.enter_context(_free(names, count=min(count, len(names))))
            number = lent[0]
            torch.cuda.set_device(number)
            torch.cuda.set_per_process_memory_fraction(self.memory_share, number)
            torch.cuda.reset_peak_memory_stats(number)
            device = Device(f"cuda:{number}", self.precision, lent)
            try:
                yield device
            finally:
                device.figures["gpu_peak_memory_mb"] = torch.cuda.max_memory_allocated(number) / MIB
                gc.collect()
                torch.cuda.empty_cache()
                device.figures["gpu_memory_left_mb"] = torch.cuda.memory_allocated(number) / MIB


def _numbers(device: str, visible: Sequence[int]) -> list[int]:
    """Return the numbers of the GPUs to choose from; empty: the CPU."""
    if device == "cpu":
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and not count:
        return []
    wanted = list(visible) or list(range(count))
    if device.startswith("cuda:"):
        wanted = [int(device.removeprefix("cuda:"))]
    missing = ", ".join(str(number) for number in wanted if number >= count)
    if missing or not wanted:
        raise RuntimeError(
            f"GPU {missing or 'of any number'} was asked for (gpu.device = {device}, "
            f"gpu.visible_devices = {list(visible)}), but torch sees {count}; "
            "set gpu.device=cpu or name one that is there"
        )
    return wanted


def _name_of(number: int) -> str:
    """Return what every process of this machine calls a GPU, whichever it sees: its UUID.

    Where torch does not tell it, the number, which is the same for those who see the same GPUs.
    """
    import torch

    name = getattr(torch.cuda.get_device_properties(number), "uuid", number)
    return str(name)


@contextmanager
def _free(
    names: Mapping[int, str], folder: Path | None = None, count: int = 1
) -> Iterator[list[int]]:
    """Yield the first ``count`` numbers that no other process holds; wait where too few are free.

    Held by locks on files, which the system lets go when the process ends, however it ends. Who
    waits for several locks them in the order of their names, so that two never wait for each other.

    Args:
        names: number → name of each GPU, ``count`` of them at least.
        folder: of the locks.
    """
    folder = folder or Path(tempfile.gettempdir())
    with ExitStack() as opened:
        locks: dict[int, IO[str]] = {}
        free: list[int] = []
        for number, name in names.items():
            locks[number] = opened.enter_context(_lock_file(folder, name))
            if _is_taken(locks[number]):
                free.append(number)
            if len(free) == count:
                break
        else:
            for number in free:
                fcntl.flock(locks[number], fcntl.LOCK_UN)
            free = list(names)[:count]
            for number in sorted(free, key=names.__getitem__):
                fcntl.flock(locks[number], fcntl.LOCK_EX)
        yield free


def _is_taken(lock: IO[str]) -> bool:
    """Lock a file; return whether nobody else held it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file(folder: Path, name: str) -> IO[str]:
    """Return the opened lock of a GPU, which users of this machine share: any may read it.

    A lock needs no writing. Of others' files in a shared temporary folder the kernel refuses more:
    to open them for writing, and to open them as if they might have to be made.

    Raises:
        RuntimeError: another user's file cannot be read.
    """
    path = folder / f"beauty-rec-gpu-{name}.lock"
    for flags in (0, os.O_CREAT | os.O_EXCL, 0):
        try:
            opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | flags, 0o644)
        except (FileNotFoundError, FileExistsError):
            continue
        except PermissionError as error:
            raise RuntimeError(f"{path} is {path.owner()}'s; chmod a+r it") from error
        if flags:
            os.fchmod(opened, 0o644)  # whatever the umask
        return os.fdopen(opened)
    raise RuntimeError(f"{path} comes and goes")
