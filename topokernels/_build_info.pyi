from typing import Any

__file__: str

def build_info() -> dict[str, Any]: ...
