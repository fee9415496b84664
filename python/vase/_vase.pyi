"""The extension module: vase.h for arrays. Use the functions of the package, which document themselves."""

from typing import Any

version: str
has_cuda: bool

def select(
    out: Any,
    keys: Any,
    values: Any,
    queries: Any,
    policy: str,
    budget: int,
    positions: Any,
    gauss: Any,
    options: dict[str, Any],
    stream: int = 0,
) -> None: ...
def scores(
    out: Any,
    keys: Any,
    values: Any,
    queries: Any,
    policy: str,
    budget: int,
    positions: Any,
    gauss: Any,
    options: dict[str, Any],
    stream: int = 0,
) -> None: ...
def compact(keys: Any, values: Any, keep: Any, positions: Any, vacate: int, freed: int = 0, stream: int = 0) -> int: ...
def evict(items: list[dict[str, Any]], policy: str, budget: int, options: dict[str, Any], stream: int = 0) -> None: ...
def device_mask_rows(n_rows: int) -> int: ...
def parameters(policy: str, budget: int, options: dict[str, Any]) -> dict[str, Any]: ...
def policies() -> list[tuple[str, str, bool]]: ...
def get_threads() -> int: ...
def set_threads(threads: int) -> None: ...
