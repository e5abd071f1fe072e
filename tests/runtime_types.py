"""The type checker that checks annotations at run time."""

from beartype import BeartypeConf, beartype

# Accept an int where a float is annotated, as static type checkers do.
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
