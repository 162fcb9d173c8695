"""Looking into a cube and into what codecs make of it: in a notebook, or as a page of this machine (``lhic explore``).

views : what is shown, as pure functions of arrays
coding : codecs, and what is remembered of their work
cubes : where cubes come from
exports : what can be taken away
plots, app, server : the view, of Bokeh and Panel, which the extra ``study`` brings; nothing else here needs them
"""
