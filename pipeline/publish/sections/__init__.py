"""The card's sections, each once, with its English and its Chinese sentences side by side, so that no number can stand in one and not in the other.

`say(en, zh)` picks the language. Foreign strings pass through `markdown.code` or `markdown.plain`. Nothing is counted here: see `facts`.
"""
