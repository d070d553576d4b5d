"""Every jaxtyping shape in `r1ray.algorithms` is checked at run time while tests run."""

from jaxtyping import install_import_hook

import tests.algorithms.checker  # noqa: F401  (the hook below finds it as an attribute of `tests.algorithms`)

install_import_hook("r1ray.algorithms", "tests.algorithms.checker.checker")
