"""Where given labels look wrong to a network that was trained on them."""
