"""DICOM objects into slices: header, frames, windowing, palettes."""
