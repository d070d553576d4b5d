"""What can go wrong, as one tree. Every error can be pickled, because errors cross processes.

    R1RayError
    ├── ConfigError          a setting is unknown, out of range, or at odds with another   (also ValueError)
    ├── DataError            a row, file or dataset is not what was expected               (also ValueError)
    ├── ModelError           a model path, file or tokenizer cannot be used                (also ValueError)
    ├── CheckpointError      a checkpoint is incomplete, damaged or of another run         (also RuntimeError)
    ├── ResourceError        the cluster has less than the run asks for                    (also RuntimeError)
    ├── WorkerError          a worker died or failed; carries the tail of its stderr       (also RuntimeError)
    ├── StaleWeights         a worker holds another policy version than the one asked for  (also RuntimeError)
    ├── ParityError          two computations that must agree do not                       (also RuntimeError)
    └── DivergenceError      training cannot go on: a loss is not finite                   (also RuntimeError)

A message says what was expected, what came, and what to do.
"""


class R1RayError(Exception):
    """Base of every error that r1ray raises on purpose."""


class ConfigError(R1RayError, ValueError):
    """A setting is unknown, out of range, or at odds with another."""


class DataError(R1RayError, ValueError):
    """A row, file or dataset is not what was expected."""


class ModelError(R1RayError, ValueError):
    """A model path, file or tokenizer cannot be used."""


class CheckpointError(R1RayError, RuntimeError):
    """A checkpoint is incomplete, damaged or belongs to another run."""


class ResourceError(R1RayError, RuntimeError):
    """The cluster has less than the run asks for."""


class WorkerError(R1RayError, RuntimeError):
    """A worker died or failed."""


class StaleWeights(R1RayError, RuntimeError):
    """A worker holds another policy version than the one asked for; load the weights and ask again."""


class ParityError(R1RayError, RuntimeError):
    """Two computations that must agree (rollout and trainer log-probs, say) do not."""


class DivergenceError(R1RayError, RuntimeError):
    """Training cannot go on: a loss is not finite."""
