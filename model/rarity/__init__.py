"""Rarity: how unlike every similar picture of its archive each patch of a picture is, without any labels."""
