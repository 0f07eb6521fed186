"""What the sample's crawl consists of, and how one page of it comes to be: its site, its template, its charset, the way it was sent.

`CLASSES` is the plan: one line a class of records, with its number in the full and in the small sample and what should become of it.
`sample_crawl.py` carries it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.sources.sample_bytes import Chance, chunked, gzip_stored, http_response, uuid_of
from pipeline.sources.sample_pages import Page, render, template_for
from pipeline.sources.sample_texts import Body, Prose, name_en, name_zh, passages, passages_in

# class -> (records in the full sample, in the small one, what should become of one, what else would be as right)
CLASSES: dict[str, tuple[int, int, str, tuple[str, ...]]] = {
    "article_en": (1150, 97, "keep", ()),
    "article_zh": (900, 76, "keep", ()),
    "article_hant": (100, 10, "keep", ()),
    "personal": (60, 4, "keep", ()),  # an article with an address in it: for scrub
    "mixed": (40, 3, "keep", ()),  # English and Chinese by turns
    "charset_conflict": (40, 5, "keep", ()),  # header and page disagree; one of them is right, or neither
    "no_charset": (30, 3, "keep", ()),  # nobody says
    "bad_bytes": (30, 2, "keep", ()),  # stray bytes in the text
    "cut_page": (24, 2, "keep", ()),  # the crawler stopped reading in the last paragraph
    "near_60": (60, 3, "keep", ()),  # akin, but far below the threshold
    "near_85": (60, 3, "near", ()),
    "near_90": (60, 3, "near", ()),
    "near_95": (60, 3, "near", ()),
    "mirror": (160, 10, "text", ("near",)),  # the same article at another address; half of them under another site's name
    "tracked": (20, 2, "text", ("url", "near")),  # the same page, with tracking parameters in its address
    "url_repeat": (60, 4, "url", ()),  # an older text at the same address
    "id_repeat": (30, 2, "id", ()),  # another page under the same WARC-Record-ID
    "furniture": (120, 8, "rules", ("language",)),  # links, a login wall, "not found" with status 200
    "short": (90, 6, "rules", ("language",)),
    "repeated_lines": (50, 3, "rules", ("language",)),
    "repeated_paragraphs": (30, 3, "rules", ("language",)),
    "contact_list": (30, 2, "rules", ("contact", "language")),
    "letters": (40, 2, "language", ("rules",)),
    "han_noise": (30, 2, "rules", ("language",)),
    "han_noise_punctuated": (20, 1, "keep_until:quality", ("rules", "language")),  # only a model of the language can tell
    "other_language": (150, 9, "language", ("rules",)),
    "contact_prose": (30, 2, "keep_until:contact", ("rules", "language")),
    "gambling": (60, 4, "keep_until:sensitive", ("rules", "language", "near", "text")),
    "adult": (60, 4, "keep_until:sensitive", ("rules", "language", "near", "text")),
    "seo": (80, 4, "keep_until:spam", ("rules", "language", "near", "text")),
    "contaminated": (40, 3, "keep_until:contaminated", ()),
    "empty": (20, 2, "skipped", ("unreadable", "rules", "language")),
    "not_html": (60, 6, "skipped", ("unreadable",)),
    "error_page": (40, 4, "skipped", ("rules", "language")),  # status 301, 403, 404, 500
    "cut_payload": (
        12,
        2,
        "unreadable",
        ("skipped", "rules", "language", "keep"),
    ),  # a gzip body that ends in the middle: what can be read may be kept
    "cut_record": (1, 1, "unreadable", ()),  # the file ends inside its last member
}
BESIDE = ("skipped", ())  # warcinfo, request, metadata and revisit records

# Where copies may come from: pages whose whole text should come out.
_ORIGINALS = ("article_en", "article_zh", "article_hant")

_STEMS_EN = (
    "pellmouth", "dunmarrow", "ashvale", "brackenford", "tarnwick", "quillhaven", "mossburn", "larkspire", "fenholt", "oakrise", "wyndale", "hollowbrook", "thistledown", "kestrelby",
    "stonemere", "emberly", "foxcombe", "greywater", "marlpit", "rookhurst", "sedgeway", "tidewell", "umberton", "vexley", "willowick", "yarrowby", "amberlea", "birchsted", "cinderford",
)  # fmt: skip
_STEMS_ZH = (
    "linjiang", "qinghe", "yunxi", "baisha", "shuikou", "xinluo", "guanqiao", "hengtang", "lanpu", "shimen", "tianxin", "wutong", "zhuxi", "anping", "biluo", "caotang", "dongli", "fengqi",
    "guzhen", "hupan", "jiangwan", "kaiyue", "lushan", "moxiang", "nanqiao",
)  # fmt: skip
_ENDS = {
    "news": ("herald", "daily", "post", "observer"), "encyclopaedia": ("wiki", "pedia", "lexicon"), "forum": ("forum", "board", "talk"), "shop": ("shop", "store", "market"),
    "recipe": ("kitchen", "table", "cooks"), "law": ("gazette", "statutes", "council"), "science": ("journal", "institute", "review"), "story": ("stories", "reader", "tales"),
    "howto": ("manual", "guide", "workshop"), "travel": ("trails", "travel", "journeys"), "history": ("archive", "history", "museum"),
}  # fmt: skip
_SITE_ZH = {
    "news": "日报", "encyclopaedia": "百科", "forum": "论坛", "shop": "商城", "recipe": "美食网", "law": "政务网", "science": "学报", "story": "书屋", "howto": "指南", "travel": "旅行", "history": "史志网",
}  # fmt: skip
_CHARSETS = {
    "en": ("utf-8",) * 16 + ("iso-8859-1", "iso-8859-1", "windows-1252", "utf-16"),
    "zh": ("utf-8",) * 12 + ("gbk",) * 4 + ("gb18030",) * 2 + ("gb2312", "utf-16"),
    "zh-Hant": ("utf-8",) * 6 + ("big5",) * 4,
}
# What a declaration means in practice: gb2312 pages hold GBK, and iso-8859-1 is windows-1252 on the web.
_CODEC = {"gb2312": "gbk", "iso-8859-1": "cp1252", "windows-1252": "cp1252"}


@dataclass(frozen=True)
class Made:
    """A page with its template, kept so that copies of it can be made."""

    page: Page
    template: str
    charset: str
    record_id: str


@dataclass(frozen=True)
class Record:
    """One response record, and its row of the truth without file and offset."""

    record_id: str
    url: str
    crawled: str  # WARC-Date
    http: bytes
    truth: dict[str, Any]
    text: str | None  # what extraction should find
    warc_headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False  # the file ends inside this record


@dataclass
class Plan:
    """The records of one crawl, class by class."""

    size: str
    prose: Prose
    benchmarks: Sequence[dict[str, Any]]
    records: list[Record] = field(default_factory=list)
    originals: dict[str, list[Made]] = field(default_factory=dict)

    # --- the parts of a page

    def body(self, language: str, chance: Chance, count: int = 0) -> Body:
        return self.prose.draw_any(language, chance, count)

    def page(self, body: Body, chance: Chance, key: str, charset: str | None, site: tuple[str, str] | None = None) -> Page:
        zh = body.language.startswith("zh")
        kind = body.kind if body.kind in _ENDS else chance.pick(tuple(_ENDS))
        published = f"2026-{chance.between(1, 4):02d}-{chance.between(1, 28):02d}"
        host, name = site or self.site(kind, zh, chance)
        related = self.titles(body.language, chance)
        author = name_zh(chance) if zh else name_en(chance)
        return Page(body, f"{host}{path_of(chance, published)}", name, author, published, related, charset, key)

    def site(self, kind: str, zh: bool, chance: Chance) -> tuple[str, str]:
        """Address and name of an invented site."""
        stem = chance.pick(_STEMS_ZH if zh else _STEMS_EN)
        end = chance.pick(_ENDS[kind])
        host = chance.pick((f"{stem}-{end}.example", f"www.{stem}{end}.example", f"{end}.{stem}.example", f"m.{stem}{end}.example"))
        scheme = "http" if chance.happens(15) else "https"
        return f"{scheme}://{host}", f"{stem.capitalize()}{_SITE_ZH[kind]}" if zh else f"{stem.capitalize()} {end.capitalize()}"

    def titles(self, language: str, chance: Chance) -> tuple[str, ...]:
        if language in ("en", "zh", "zh-Hant"):
            found = [passage.title for passage in passages_in(language)]
        else:
            found = [passage.title for passage in passages("other_languages") if passage.kind == language and passage.title]
        return tuple(chance.sample(found, 6)) or ("…",)

    # --- adding records

    def add(self, name: str, place: int, http: bytes, url: str, *, made: Made | None = None, body: Body | None = None, crawled: str | None = None, record_id: str | None = None,
            warc_headers: tuple[tuple[str, str], ...] = (), cut: bool = False, text: str | None = None, **truth: Any) -> Record:  # fmt: skip
        chance = Chance(self.size, "crawled", name, place)
        _, _, expect, also = CLASSES[name]
        record_id = record_id or (made.record_id if made else uuid_of(self.size, name, place))
        # Originals are fetched from May on, copies before: "keep the newest" keeps the original.
        first_month, last_month = (1, 4) if truth.get("other") else (5, 9)
        day = f"2026-{chance.between(first_month, last_month):02d}-{chance.between(1, 28):02d}"
        crawled = crawled or f"{day}T{chance.below(24):02d}:{chance.below(60):02d}:{chance.below(60):02d}Z"
        row: dict[str, Any] = {
            "id": record_id.replace("-", ""),
            "url": url,
            "source": "web",
            "class": name,
            "expect": expect,
            "also": list(also),
            "domain": None if body is None else {"en": "en", "zh": "zh", "zh-Hant": "zh"}.get(body.language),
            "language": body.language if body else None,
            "kind": body.kind if body else None,
            "template": made.template if made else None,
            "charset": made.charset if made else None,
            "date": crawled,
            "group": None,
            "other": None,
            "jaccard": None,
            "personal": [],
            "benchmark": None,
            "note": None,
        }
        row.update(truth)
        record = Record(record_id, url, crawled, http, row, text if text is not None else body.text() if body else None, warc_headers, cut)
        self.records.append(record)
        return record

    def make(
        self,
        name: str,
        place: int,
        body: Body,
        *,
        charset: str | None = None,
        site: tuple[str, str] | None = None,
        template: str | None = None,
    ) -> Made:
        """A page for a body: template, site, charset drawn by the record's own chance."""
        chance = Chance(self.size, "page", name, place)
        charset = charset or chance.pick(_CHARSETS.get(body.language, ("utf-8",)))
        declared = charset if charset == "utf-16" or chance.happens(80) else None
        page = self.page(body, chance, f"{self.size}/{name}/{place}", declared, site)
        return Made(page, template or template_for(body.kind, chance), charset, uuid_of(self.size, name, place))

    def send(self, made: Made, key: str, *, html: str | None = None, header_charset: str | None = "same") -> bytes:
        """The HTTP response of a page: encoded, with the charset in the header or in the page or in both, at times compressed or chunked."""
        chance = Chance(self.size, "send", key)
        text = html if html is not None else render(made.template, made.page)
        body = encode(text, made.charset)
        if header_charset == "same":
            header_charset = made.charset if made.page.meta_charset is None or made.charset == "utf-16" or chance.happens(60) else None
        return respond(body, header_charset, chance)

    def show(self, name: str, place: int, made: Made, *, html: str | None = None, header_charset: str | None = "same", **truth: Any) -> None:
        """Send a page, at its own address, and add it."""
        http = self.send(made, f"{name}/{place}", html=html, header_charset=header_charset)
        self.add(name, place, http, made.page.url, made=made, body=made.page.body, **truth)

    def article(self, name: str, place: int, language: str) -> Made:
        """An ordinary page about a new body."""
        chance = Chance(self.size, "body", name, place)
        made = self.make(name, place, self.body(language, chance))
        self.show(name, place, made)
        return made

    def copy_from(self, place: int) -> Made:
        """The next original that no copy has been made of."""
        source = "article_hant" if place % 10 == 4 else ("article_en", "article_zh")[place % 2]
        return self.originals[source].pop()


def path_of(chance: Chance, date: str) -> str:
    """The path of an article in one of the ways that sites make them."""
    year, month, _ = date.split("-")
    return chance.pick(
        (
            f"/{year}/{month}/{chance.digits(6)}.html",
            f"/article/{chance.digits(7)}",
            f"/?p={chance.digits(5)}",
            f"/a/{date.replace('-', '')}/{chance.digits(5)}.shtml",
            f"/content/{chance.digits(4)}/{chance.digits(4)}.htm",
            f"/posts/{chance.pick(('on', 'about', 'notes', 'more', 'why'))}-{chance.digits(6)}/",
            f"/thread-{chance.digits(6)}-1-1.html",
        )
    )


def encode(text: str, charset: str) -> bytes:
    """The bytes of a page; characters that the charset lacks become references, UTF-16 gets its mark."""
    if charset == "utf-16":
        return b"\xff\xfe" + text.encode("utf-16-le")
    if charset in ("iso-8859-1", "windows-1252"):
        text = text.replace("'t ", "\u2019t ").replace("'s ", "\u2019s ")  # so that the charset matters
    return text.encode(_CODEC.get(charset, charset), "xmlcharrefreplace")


def respond(body: bytes, charset: str | None, chance: Chance, *, status: str = "200 OK", content_type: str = "text/html") -> bytes:
    """A response with the headers that servers send."""
    headers = [("Date", "Mon, 04 May 2026 08:00:00 GMT"), ("Server", chance.pick(("nginx", "Apache", "cloud", "openresty")))]
    headers.append(("Content-Type", f"{content_type}; charset={charset}" if charset else content_type))
    if chance.happens(12):
        body = gzip_stored(body)
        headers.append(("Content-Encoding", "gzip"))
    if chance.happens(10):
        return http_response(status, [*headers, ("Transfer-Encoding", "chunked")], chunked(body, chance))
    return http_response(status, [*headers, ("Content-Length", str(len(body)))], body)
