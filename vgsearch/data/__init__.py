"""Image names, indexes, CosPlace cells, retrieval sets, decoding, augmentation and the demo city."""
