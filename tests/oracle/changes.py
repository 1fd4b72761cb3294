"""A strong amount of each change that does not mix images."""

EACH = {
    "rotate_deg": 30.0,
    "shift_px": 3.0,
    "scale": 0.3,
    "shear_deg": 20.0,
    "crop": 0.5,
    "elastic_px": 2.5,
    "flip": 0.5,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.6,
    "erase": 0.5,
}
