"""Annotated images: reading, cropping, augmenting and mixing them; making them (converters, synthetic)."""
