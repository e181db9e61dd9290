"""Dense CRF: scores follow the edges of the image. One model, several backends."""
