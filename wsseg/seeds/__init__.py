"""First label maps from annotations, by name."""

from wsseg.seeds.named import SEEDS, Seed, check_fit, check_seeds, find_seed, seed_label_map

__all__ = ["SEEDS", "Seed", "check_fit", "check_seeds", "find_seed", "seed_label_map"]
