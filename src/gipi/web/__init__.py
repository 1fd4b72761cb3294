"""The service: models behind HTTP, for other programs and for people. `pip install gipi[serve]`."""
