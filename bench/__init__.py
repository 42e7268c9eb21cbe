"""The side-by-side benchmark behind `make bench`.

What must always hold:
- Ours is the code that ships: snapcore's stream, and the real worker's snapshot into a real Swift.
- Ours and a peer work on the same input in the same run, in turns (A B A B …), with the input in
  the page cache; a row's ratio is the median of the ratios of its turns, not of two averages.
- The limit beside a row was measured in the same run.
- What was made for a run is removed with it; inputs stay in `.cache/bench`.
"""
