"""Find label errors: annotations that a network contradicts, ranked by confident learning."""
