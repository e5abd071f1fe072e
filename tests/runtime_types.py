"""The checker of annotations at run time."""

from beartype import BeartypeConf, beartype

# An int is good where a float is asked for, as type checkers and users take it.
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
