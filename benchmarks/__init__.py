"""The benchmark study: codecs, runner, tables and figures.  Reads only the public names of lhic."""
