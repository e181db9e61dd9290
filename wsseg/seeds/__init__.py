"""First label maps from annotations, by name."""

from wsseg.seeds.named import SEEDS, Seed, find_seed, seed_label_map

__all__ = ["SEEDS", "Seed", "find_seed", "seed_label_map"]
