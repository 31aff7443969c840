"""Every metric beside every public implementation of it that is installed, as the table of `docs/parity.md`.

    python -m tests.parity.table

Each group of metrics runs in a process of its own, one after the other, on one thread: below 8 GB of memory.
`python -m tests.parity.table GROUP` prints the cells of one group as JSON.
"""
