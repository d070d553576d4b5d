"""Problems that grow from problems, each with an answer that was verified.

    teacher = make_teacher(config, policy, engine)               # an OpenAI-compatible endpoint, the policy, or None
    grown = synthesize(rows, config, output / "generations", teacher=teacher)
    rows += grown.rows                                           # verified rows with `parent`, `solve_rate`, ...
    figures["synthesize"] = grown.report                         # by generation; patterns before and after

Plain functions: the corpus job calls `synthesize` in the driver, between augmentation and the label tiers. The folder
belongs to the run; started again, it goes on after the last batch.
"""
