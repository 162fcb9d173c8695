"""One file per codec; `registry` lists them all."""
