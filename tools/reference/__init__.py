"""The pages of docs/reference, made from the code: `python -m tools.reference`.

- Keys, types, ranges, defaults, fields, codes and commands come from the code or its syntax tree.
- What each one means is a sentence in text.toml. A key without a sentence, or a sentence without its key, is
  an error of the command. `tests/tools/test_reference.py` fails when a page is not up to date.
"""
