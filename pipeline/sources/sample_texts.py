"""The texts of the sample: bodies drawn from the bundled prose so that distinct ones stay distinct, copies at a known Jaccard, and rubbish.

Not HTML (see `sample_pages.py`). All prose is invented for this project and lies in `sample_data/*.jsonl`. Every text is a function of
the data and a `Chance`. Costs some 3 seconds for the full sample, most of it in measuring the near-duplicates.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pipeline.sources.sample_bytes import Chance
from pipeline.store import open_data

# Weighted like real pages: most have four to six paragraphs.
_PARAGRAPHS = (3, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 7, 7, 8)
_NEAR_ENOUGH = 0.012  # one edit of an ordinary page moves its Jaccard by some 0.02
_MOST_IN_COMMON = 0.44  # of the tokens of two distinct bodies, as intersection over union; titles and bylines add a little

_TOKEN = re.compile(r"[0-9A-Za-z\u00c0-\u024f]+|[\u3400-\u4dbf\u4e00-\u9fff]")
_SENTENCE_EN = re.compile(r"(?<=[.!?]) +")
_SENTENCE_ZH = re.compile(r"(?<=[。！？])(?![”」』）])")

# Words that may stand for each other in ordinary prose: a copyist's edits.
_SWAPS = {
    "en": [
        ("many", "numerous"), ("large", "big"), ("small", "little"), ("began", "started"), ("often", "frequently"), ("about", "roughly"),
        ("said", "explained"), ("nearly", "almost"), ("because", "since"), ("although", "though"), ("while", "whereas"), ("several", "various"),
        ("old", "former"), ("before", "ahead of"), ("usually", "normally"), ("enough", "sufficient"), ("still", "nevertheless"), ("made", "produced"),
        ("need", "require"), ("keep", "retain"), ("help", "assist"), ("whole", "entire"), ("little", "slight"), ("every", "each"),
    ],
    "zh": [
        ("但是", "不过"), ("因为", "由于"), ("许多", "不少"), ("现在", "如今"), ("开始", "着手"), ("非常", "十分"), ("可以", "能够"), ("如果", "假如"),
        ("已经", "早已"), ("一些", "若干"), ("以及", "还有"), ("需要", "必须"), ("大约", "差不多"), ("往往", "常常"), ("其中", "当中"), ("不能", "无法"),
    ],
    "zh-Hant": [("但是", "不過"), ("因為", "由於"), ("許多", "不少"), ("現在", "如今"), ("開始", "著手"), ("可以", "能夠"), ("如果", "假如"), ("已經", "早已")],
}  # fmt: skip
_OPENERS = {
    "en": [
        "In fact, ",
        "As it happens, ",
        "By all accounts, ",
        "For what it is worth, ",
        "Here too, ",
        "In short, ",
        "Even so, ",
        "On the whole, ",
    ],
    "zh": ["事实上，", "说到底，", "从这一点看，", "值得一提的是，", "换句话说，", "总的来说，", "不难发现，", "退一步讲，"],
    "zh-Hant": ["事實上，", "說到底，", "從這一點看，", "值得一提的是，", "換句話說，", "總的來說，", "不難發現，", "退一步講，"],
}
_POST_OPENERS = {
    "en": [
        "Long post, sorry.", "Following up on yesterday.", "Small update for anyone interested.", "Has anyone else noticed this?", "Sharing in case it helps.",
        "Writing this on the train.", "Not sure where else to put this.", "A friend asked me to post this here.", "Second attempt, the first one vanished.",
        "Morning, everyone.", "Thought for the weekend.", "My two pence on the thread above.",
    ],
    "zh": [
        "刚下班，随手记一下。", "接着昨天的话题说。", "给有需要的朋友参考。", "有人和我一样吗？", "长文预警，慢慢看。", "周末闲着，整理了一下笔记。",
        "朋友让我发出来，那就发吧。", "第一次在这里发帖。", "早上好，说点正事。", "补充一下楼上的内容。", "写给自己看的，也欢迎讨论。", "排队的时候想到的。",
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Body:
    """What a page is about, without its page: the text that extraction should find is `text()`."""

    language: str  # en, zh, zh-Hant, de, …
    kind: str
    title: str
    paragraphs: tuple[str, ...]

    def text(self) -> str:
        """Title and paragraphs, a line each."""
        return "\n".join((self.title, *self.paragraphs))

    @property
    def is_zh(self) -> bool:
        return self.language.startswith("zh")


@dataclass(frozen=True)
class Passage:
    """One passage of the bundled prose, or one list of sentences of spam."""

    kind: str
    script: str | None
    title: str
    paragraphs: tuple[str, ...]


@lru_cache(maxsize=8)
def passages(name: str) -> tuple[Passage, ...]:
    """The passages of `sample_data/NAME.jsonl`, in order."""
    out = []
    for line in open_data(f"sources/sample_data/{name}.jsonl").decode().splitlines():
        row = json.loads(line)
        out.append(Passage(row["kind"], row.get("script"), row.get("title", ""), tuple(row.get("paragraphs") or row.get("sentences") or ())))
    return tuple(out)


def passages_in(language: str) -> list[Passage]:
    """The ordinary prose in a language: en, zh (simplified), zh-Hant."""
    if language == "en":
        return list(passages("prose_en"))
    script = "Hant" if language == "zh-Hant" else "Hans"
    return [passage for passage in passages("prose_zh") if passage.script == script]


def tokens(text: str) -> list[str]:
    """Runs of Latin letters and digits, lower case, and single Han characters: what shingles are made of."""
    return _TOKEN.findall(text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    """Every run of 5 tokens, or of 8 where most tokens are Han characters."""
    found = tokens(text)
    width = 8 if 2 * sum(map("\u3400".__le__, found)) > len(found) else 5
    return set(zip(*(found[i:] for i in range(width)), strict=False))


def jaccard(first: str, second: str) -> float:
    """Intersection over union of the two texts' shingles; 0 where neither has any."""
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b) if a or b else 0.0


def sentences(paragraph: str, zh: bool) -> list[str]:
    """The sentences of a paragraph; joined with a space (en) or nothing (zh) they give it back."""
    return [part for part in (_SENTENCE_ZH if zh else _SENTENCE_EN).split(paragraph) if part]


def join(parts: Iterable[str], zh: bool) -> str:
    return ("" if zh else " ").join(parts)


@dataclass(frozen=True)
class _Piece:
    """One paragraph, or part of one, that may be drawn: from which passage, which text, how many tokens."""

    passage: Passage
    text: str
    weight: int


class Prose:
    """Draws bodies and remembers what it has drawn, so that no two share half of their shingles."""

    def __init__(self) -> None:
        self._pools: dict[str, list[_Piece]] = {}
        self._drawn: dict[str, list[tuple[int, int]]] = {}  # pieces as bits, tokens
        self._spent: set[str] = set()

    def kinds(self, language: str) -> list[str]:
        """The kinds of prose that there are in a language, in the order of their first passage."""
        return list(dict.fromkeys(passage.kind for passage in passages_in(language)))

    def _pool(self, name: str, sources: Sequence[Passage], halves: bool = False) -> list[_Piece]:
        if name not in self._pools:
            pool = []
            for passage in sources:
                for paragraph in passage.paragraphs:
                    parts = [paragraph]
                    if halves:
                        zh = passage.script is not None
                        single = sentences(paragraph, zh)
                        middle = (len(single) + 1) // 2
                        parts = [join(half, zh) for half in (single[:middle], single[middle:]) if half]
                    pool += [_Piece(passage, part, len(tokens(part))) for part in parts]
            self._pools[name] = pool
            self._drawn[name] = []
        return self._pools[name]

    def _take(self, name: str, count: int, chance: Chance) -> list[_Piece]:
        """`count` pieces of a pool in passage order; ValueError where the pool is used up."""
        pool = self._pools[name]
        drawn = self._drawn[name]
        heaviest = max(piece.weight for piece in pool)
        for attempt in range(0 if name in self._spent else 300):
            size = min(count - min(attempt // 100, 2), len(pool))  # a smaller draw where the wanted size finds no room
            chosen = sorted(chance.sample(range(len(pool)), max(size, 1)))
            mask = sum(1 << i for i in chosen)
            weight = sum(pool[i].weight for i in chosen)
            for other, other_weight in drawn:
                common = mask & other
                most = common.bit_count() * heaviest  # settles nearly all pairs without adding up
                if most > _MOST_IN_COMMON * (weight + other_weight - most):
                    shared = sum(pool[i].weight for i in chosen if common >> i & 1)
                    if shared > _MOST_IN_COMMON * (weight + other_weight - shared):
                        break
            else:
                drawn.append((mask, weight))
                return [pool[i] for i in chosen]
        self._spent.add(name)
        raise ValueError(f"the pool '{name}' of {len(pool)} pieces gives no {len(drawn) + 1}th distinct text: write more prose of this kind")

    def draw_any(self, language: str, chance: Chance, count: int = 0) -> Body:
        """A body of any kind, kinds with more prose oftener; another kind where one is used up."""
        kinds = [passage.kind for passage in passages_in(language)]
        first = chance.pick(kinds)
        for kind in dict.fromkeys((first, *chance.shuffled(kinds))):
            try:
                return self.draw(language, kind, chance, count)
            except ValueError:
                continue
        raise ValueError(f"no kind of {language} prose gives another distinct text: write more")

    def draw(self, language: str, kind: str, chance: Chance, count: int = 0) -> Body:
        """A body of 3 to 8 (or `count`) paragraphs of one kind. Traditional prose is too little to keep its kinds apart: it is one pool."""
        pooled = "any" if language == "zh-Hant" else kind
        name = f"{language}/{pooled}"
        self._pool(name, [passage for passage in passages_in(language) if pooled in ("any", passage.kind)])
        pieces = self._take(name, count or chance.pick(_PARAGRAPHS), chance)
        # The title of the passage that gives most: what the page is mostly about.
        shares: dict[str, int] = {}
        for piece in pieces:
            shares[piece.passage.title] = shares.get(piece.passage.title, 0) + piece.weight
        title = max(shares, key=lambda name: shares[name])
        return Body(language, kind, title, tuple(piece.text for piece in pieces))

    def post(self, language: str, chance: Chance) -> str:
        """A post of some 40 to 300 words or characters: an opener and one to seven half paragraphs of everyday kinds."""
        name = f"{language}/post"
        everyday = [p for p in passages_in(language) if p.kind not in ("law", "encyclopaedia", "science", "history")]
        self._pool(name, everyday, halves=True)
        count = chance.pick((1, 1, 2, 2, 3)) if language != "en" else chance.pick((1, 2, 2, 3, 4, 5, 6, 7))
        parts = [piece.text for piece in self._take(name, count, chance)]
        if chance.happens(60):
            parts.insert(0, chance.pick(_POST_OPENERS["en" if language == "en" else "zh"]))
        return join(parts, language != "en")

    def other(self, language: str, chance: Chance) -> Body:
        """A body in neither English nor Chinese."""
        stock = [(passage.title, text) for passage in passages("other_languages") if passage.kind == language for text in passage.paragraphs]
        chosen = chance.sample(stock, chance.between(2, 4))  # not kept distinct: none of them should get as far as deduplication
        return Body(language, "other", chosen[0][0] or chosen[0][1][:30], tuple(text for _, text in chosen))

    def spam(self, kind: str, chance: Chance) -> Body:
        """An advertisement of a kind (`gambling_zh`, `seo_en`, …): its sentences in another order and choice each time."""
        zh = kind.endswith("_zh")
        stock = [sentence for passage in passages("spam_zh") if passage.kind == kind for sentence in passage.paragraphs]
        lines = chance.sample(stock, chance.between(12, 18) if zh else chance.between(9, 14))
        paragraphs = [join(lines[i : i + 3], zh) for i in range(1, len(lines), 3)]
        return Body("zh" if zh else "en", kind, lines[0].rstrip("。！.!"), tuple(paragraphs))


def edited(body: Body, target: float, chance: Chance, fresh: Sequence[str] = ()) -> tuple[Body, float]:
    """A copy of a body whose Jaccard with it is as near to `target` as small edits come, and that Jaccard.

    Words are swapped and sentences opened otherwise; below 0.8, whole paragraphs are first replaced by `fresh` ones.
    """
    before = shingles(body.text())
    language = body.language

    def measured(candidate: Body) -> float:
        after = shingles(candidate.text())
        return len(before & after) / len(before | after)

    best, reached = body, 1.0
    if target < 0.8:
        for place, text in zip(chance.shuffled(range(len(body.paragraphs))), fresh, strict=False):
            candidate = _with(best, place, text)
            value = measured(candidate)
            if value >= target:
                best, reached = candidate, value
    edits = _edits(body.is_zh, language, chance)
    for _ in range(200):
        if reached <= target + _NEAR_ENOUGH:
            break
        place = chance.below(len(best.paragraphs))
        text = edits(best.paragraphs[place])
        if text == best.paragraphs[place]:
            continue
        candidate = _with(best, place, text)
        value = measured(candidate)
        if value >= target - _NEAR_ENOUGH:
            best, reached = candidate, value
    return best, reached


def _with(body: Body, place: int, text: str) -> Body:
    return replace(body, paragraphs=(*body.paragraphs[:place], text, *body.paragraphs[place + 1 :]))


def _edits(zh: bool, language: str, chance: Chance) -> Callable[[str], str]:
    """A small edit of a paragraph, another one each time; at times none."""
    swaps = chance.shuffled(_SWAPS[language])

    def edit(paragraph: str) -> str:
        if chance.happens(50):
            old, new = chance.pick(swaps)
            pattern = old if zh else rf"\b{old}\b"
            found = re.search(pattern, paragraph)
            if found:
                return paragraph[: found.start()] + new + paragraph[found.end() :]
        parts = sentences(paragraph, zh)
        place = chance.below(len(parts))
        opener = chance.pick(_OPENERS[language])
        first = parts[place]
        if any(first.startswith(other) for other in _OPENERS[language]):
            return paragraph
        if not zh and first.split(" ", 1)[0] in (
            "The",
            "A",
            "An",
            "It",
            "They",
            "He",
            "She",
            "In",
            "On",
            "At",
            "If",
            "When",
            "This",
            "That",
            "Some",
            "Most",
            "One",
            "No",
            "There",
        ):
            first = first[0].lower() + first[1:]
        parts[place] = opener + first
        return join(parts, zh)

    return edit


# --- rubbish -------------------------------------------------------------------------------------------------------------


def random_letters(chance: Chance) -> Body:
    """Words of random letters, as keyboards, ciphers and broken exports give."""

    def word() -> str:
        return "".join(chance.pick("abcdefghijklmnopqrstuvwxyz") for _ in range(chance.between(2, 11)))

    def paragraph() -> str:
        return " ".join(word() for _ in range(chance.between(40, 70))).capitalize() + "."

    return Body("en", "gibberish", " ".join(word() for _ in range(3)).capitalize(), tuple(paragraph() for _ in range(4)))


def random_han(chance: Chance, punctuated: bool) -> Body:
    """Random characters of the first level of GB 2312, with or without punctuation."""

    def run(length: int) -> str:
        pairs = (bytes([0xB0 + chance.below(39), 0xA1 + chance.below(94)]) for _ in range(length))
        return b"".join(pairs).decode("gb2312")

    def paragraph() -> str:
        if not punctuated:
            return run(chance.between(90, 160))
        return "".join(run(chance.between(5, 14)) + chance.pick("，，，。；") for _ in range(chance.between(10, 14))) + run(6) + "。"

    return Body("zh", "gibberish", run(8), tuple(paragraph() for _ in range(4)))


# --- invented people -----------------------------------------------------------------------------------------------------

_FIRST = (
    "Mara",
    "Edwin",
    "Tilda",
    "Jonas",
    "Priya",
    "Callum",
    "Ines",
    "Rowan",
    "Greta",
    "Samir",
    "Odette",
    "Felix",
    "Noor",
    "Hugo",
    "Wren",
    "Ansel",
)
_LAST = (
    "Pellworth",
    "Dunmarrow",
    "Ashcombe",
    "Varley",
    "Okonje",
    "Tremlow",
    "Lindqvar",
    "Hathersby",
    "Brannick",
    "Solverton",
    "Quillan",
    "Marchfield",
)
_SURNAMES = "柏岑鲍宓郦卞池佟庾桑娄冉"
_GIVEN = ("望舒", "知行", "沐晨", "青禾", "以宁", "景行", "若溪", "思齐", "云舟", "怀瑾", "明澈", "书遥")


def name_en(chance: Chance) -> str:
    return f"{chance.pick(_FIRST)} {chance.pick(_LAST)}"


def name_zh(chance: Chance) -> str:
    return chance.pick(_SURNAMES) + chance.pick(_GIVEN)


def luhn_number(chance: Chance) -> str:
    """A card number that passes Luhn's test, of a range that is handed out for tests only."""
    digits = "400000" + chance.digits(9)
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if i % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def id_number_zh(chance: Chance) -> str:
    """A resident identity number with a valid check digit (GB 11643) and serial 000, which is given to nobody."""
    place = chance.pick(("110101", "310104", "440106", "510107", "330102"))
    body = f"{place}{chance.between(1955, 2004)}{chance.between(1, 12):02d}{chance.between(1, 28):02d}000"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


def phone_en(chance: Chance) -> str:
    """From the ranges that are kept for fiction (555-01xx; 020 7946 0xxx; 01632 960xxx)."""
    return chance.pick(
        (
            f"(212) 555-01{chance.digits(2)}",
            f"020 7946 0{chance.digits(3)}",
            f"01632 960{chance.digits(3)}",
            f"+1 303-555-01{chance.digits(2)}",
        )
    )


def phone_zh(chance: Chance) -> str:
    """Mobile numbers that begin with 154, which no operator has been given."""
    return f"154{chance.digits(8)}"


def address_ip(chance: Chance) -> str:
    """From the networks that are kept for documentation (RFC 5737)."""
    return f"{chance.pick(('192.0.2', '198.51.100', '203.0.113'))}.{chance.between(1, 254)}"


def email(name: str, chance: Chance) -> str:
    handle = name.lower().replace(" ", ".") if name.isascii() else chance.pick(("wang", "bai", "cen", "tong", "sang", "ran")) + chance.digits(4)
    return f"{handle}@{chance.pick(('example.com', 'example.org', 'example.net', 'mail.example', 'post.example'))}"


def contact_sentence(language: str, chance: Chance) -> tuple[str, dict[str, str]]:
    """A sentence with one to three personal values, and the values by class."""
    if language == "en":
        name = name_en(chance)
        found = {"email": email(name, chance), "phone": phone_en(chance)}
        return f"For questions about this page write to {name} at {found['email']} or call {found['phone']} on weekdays.", found
    name = name_zh(chance)
    found = {"email": email(name, chance), "phone": phone_zh(chance)}
    if language == "zh-Hant":
        return f"如有疑問，請聯絡{name}，電話{found['phone']}，電子郵件{found['email']}。", found
    return f"如有疑问，请联系{name}，电话{found['phone']}，邮箱{found['email']}。", found


def contact_prose(language: str, chance: Chance) -> tuple[Body, list[dict[str, str]]]:
    """Sentences full of personal values, and the values: what nobody should train on, though it reads like prose."""
    values: list[dict[str, str]] = []
    paragraphs = []
    for _ in range(5):
        lines = []
        for _ in range(3):
            name = name_en(chance) if language == "en" else name_zh(chance)
            row = {"email": email(name, chance), "phone": phone_en(chance) if language == "en" else phone_zh(chance)}
            if language == "en":
                row["card"] = luhn_number(chance)
                row["ip"] = address_ip(chance)
                lines.append(
                    chance.pick(
                        (
                            f"{name} of the {chance.pick(('north', 'south', 'river', 'hill'))} office has the number {row['phone']} and reads mail that is sent to {row['email']}.",
                            f"The card of {name} is {row['card']}, and the last login to the account came from {row['ip']} in the evening.",
                            f"If {name} is away, the deputy can be reached at {row['phone']} and should be copied at {row['email']} as well.",
                        )
                    )
                )
            else:
                row["id_number"] = id_number_zh(chance)
                lines.append(
                    chance.pick(
                        (
                            f"{name}同志的身份证号是{row['id_number']}，手机号码为{row['phone']}，平时在二楼办公。",
                            f"业主{name}登记的电话是{row['phone']}，邮箱是{row['email']}，车位在地下一层。",
                            f"报名表上写着{name}，证件号{row['id_number']}，紧急联系人电话{row['phone']}。",
                        )
                    )
                )
            shown = {key: value for key, value in row.items() if value in lines[-1]}
            values.append(shown)
        paragraphs.append(join(lines, language != "en"))
    title = "Who to reach in which office" if language == "en" else "人员联系信息汇总"
    return Body(language, "contact", title, tuple(paragraphs)), values
