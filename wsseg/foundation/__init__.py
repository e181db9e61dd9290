"""Pre-trained models of the package transformers: SAM, CLIP and DINO."""
