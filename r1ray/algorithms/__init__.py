"""What PPO computes, as tensors: tensors in, tensors out. Nothing here knows Ray, networks or text."""
