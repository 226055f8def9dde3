"""What other people trained, as a checkpoint: `python -m training import`.

    a folder, a file or a module -> its kind's reader -> Source -> graphs, parity -> package

Nothing that is read can run code, but for `python`, whose point it is.
"""
