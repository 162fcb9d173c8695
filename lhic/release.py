"""Which release this is; errors name it, as a stream of another may need another."""

__version__ = "0.1.0"
