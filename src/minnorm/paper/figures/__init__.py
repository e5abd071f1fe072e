"""The figures of the paper: each kind of figure is one function, see `minnorm.paper.kinds`."""
