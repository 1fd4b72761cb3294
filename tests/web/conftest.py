"""What the tests of the service share."""

import pytest

from oracle.service import png


@pytest.fixture(scope="session")
def digits():
    """28 x 28 pictures of digits, of the embedded set, as PNG files."""
    from gipi import api

    return [png(image[0].numpy()) for image in api.load_images("digits", "test").images[:120]]
