"""Variants of rows that keep what they promise: a verified variant's answer was computed, and checked by another way.

    augmenter = Augmenter(AugmentConfig(operators=("parameters", "inversion", "typos@0.1")))
    rows += augmenter.rows(rows)                                 # plain rows in, plain rows out

A row needs an `id`. Understood are worked problems (`question` with GSM8K's `answer`, or with `solution` and
`answer`; keep the calculator annotations `<<48/2=24>>` where there are any), texts (`text`), tables (`table`,
`derivation`), feature rows (`features`, `label`) and sequences (`series`). An operator passes over rows of other
kinds. Every variant has `parent`, which deduplication reads, `operator`, `augment_seed`, `check` (`verified`,
`unverified`) and `check_reason`.

For Ray Data: one `Augmenter` an actor, `rows` on each batch; how rows are parted into batches changes nothing.
"""
