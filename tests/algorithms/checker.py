"""The run-time type checker of these tests: as PEP 484 has it, an int is good where a float is asked for."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
