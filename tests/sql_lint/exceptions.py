"""What sqlfluff sees instead of dbt's exceptions."""


def raise_compiler_error(message: str) -> str:
    raise ValueError(message)
