"""How the shipped classifiers are made: one folder a model, with its data, its training, its labels, its card and its weights.

`python -m classifiers train|evaluate|export NAME`. What a run of the pipeline needs of this is the folders' files alone: `pipeline` opens
them through its store, by hash, and imports no code from here. This package may import `pipeline`; training needs the extra `[train]`.
"""
