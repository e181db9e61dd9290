"""How good labels and segmenters are: figures, pictures, reports."""
