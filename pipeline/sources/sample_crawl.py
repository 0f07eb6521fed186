"""The crawl of the sample: which pages there are, what is wrong with each, how they were sent, and the WARC files they lie in.

`CLASSES` is the plan: one line a class of records, with its number in the full and in the small sample and what should become of it.
Costs some 4 seconds and 150 MB for the full sample.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.sources.sample_bytes import Chance, chunked, gzip_stored, http_response, uuid_of, warc_record
from pipeline.sources.sample_pages import Page, furniture_only, render, template_for, with_lines
from pipeline.sources.sample_texts import (
    Body,
    Prose,
    contact_prose,
    contact_sentence,
    edited,
    email,
    id_number_zh,
    jaccard,
    join,
    name_en,
    name_zh,
    passages,
    passages_in,
    phone_en,
    phone_zh,
    random_han,
    random_letters,
    sentences,
    tokens,
)

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
_BESIDE = ("skipped", ())  # warcinfo, request, metadata and revisit records

# Where copies may come from: pages whose whole text should come out.
_ORIGINALS = ("article_en", "article_zh", "article_hant")

_STEMS_EN = ("pellmouth dunmarrow ashvale brackenford tarnwick quillhaven mossburn larkspire fenholt oakrise wyndale hollowbrook thistledown kestrelby stonemere emberly foxcombe greywater "
             "marlpit rookhurst sedgeway tidewell umberton vexley willowick yarrowby amberlea birchsted cinderford dewpond").split()  # fmt: skip
_STEMS_ZH = (
    "linjiang qinghe yunxi baisha shuikou xinluo guanqiao hengtang lanpu shimen tianxin wutong zhuxi anping biluo caotang dongli fengqi guzhen hupan jiangwan kaiyue lushan moxiang nanqiao"
).split()
_ENDS = {
    "news": ("herald", "daily", "post", "observer"), "encyclopaedia": ("wiki", "pedia", "lexicon"), "forum": ("forum", "board", "talk"), "shop": ("shop", "store", "market"),
    "recipe": ("kitchen", "table", "cooks"), "law": ("gazette", "statutes", "council"), "science": ("journal", "institute", "review"), "story": ("stories", "reader", "tales"),
    "howto": ("manual", "guide", "workshop"), "travel": ("trails", "travel", "journeys"), "history": ("archive", "history", "museum"),
}  # fmt: skip
_SITE_ZH = {
    "news": "日报", "encyclopaedia": "百科", "forum": "论坛", "shop": "商城", "recipe": "美食网", "law": "政务网", "science": "学报", "story": "书屋", "howto": "指南", "travel": "旅行", "history": "史志网",
}  # fmt: skip
_PATHS: tuple[Callable[[Chance, str], str], ...] = (
    lambda c, date: f"/{date[:4]}/{date[5:7]}/{c.digits(6)}.html",
    lambda c, date: f"/article/{c.digits(7)}",
    lambda c, date: f"/?p={c.digits(5)}",
    lambda c, date: f"/a/{date.replace('-', '')}/{c.digits(5)}.shtml",
    lambda c, date: f"/content/{c.digits(4)}/{c.digits(4)}.htm",
    lambda c, date: f"/posts/{c.pick(('on', 'about', 'notes', 'more', 'why'))}-{c.digits(6)}/",
    lambda c, date: f"/thread-{c.digits(6)}-1-1.html",
)

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
class _Plan:
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
        return Page(body, f"{host}{chance.pick(_PATHS)(chance, published)}", name, author, published, related, charset, key)

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

    def article(self, name: str, place: int, language: str, count: int = 0, **truth: Any) -> Made:
        """An ordinary page about a new body."""
        chance = Chance(self.size, "body", name, place)
        made = self.make(name, place, self.body(language, chance, count))
        self.add(name, place, self.send(made, f"{name}/{place}"), made.page.url, made=made, body=made.page.body, **truth)
        return made

    def copy_from(self, name: str, place: int) -> Made:
        """The next original that no copy has been made of."""
        source = "article_hant" if place % 10 == 4 else ("article_en", "article_zh")[place % 2]
        return self.originals[source].pop()


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


# --- the classes, in the order in which they draw from the prose ---------------------------------------------------------


def _articles(plan: _Plan, number: Callable[[str], int]) -> None:
    for name, language in (("article_en", "en"), ("article_zh", "zh"), ("article_hant", "zh-Hant")):
        made = [plan.article(name, i, language) for i in range(number(name))]
        plan.originals[name] = Chance(plan.size, "originals", name).shuffled(made)
    for i in range(number("personal")):
        language = ("en", "zh", "en", "zh", "zh-Hant")[i % 5]
        chance = Chance(plan.size, "body", "personal", i)
        body = plan.body(language, chance)
        sentence, values = contact_sentence(language, chance)
        made = plan.make("personal", i, replace(body, paragraphs=(*body.paragraphs, sentence)))
        plan.add(
            "personal",
            i,
            plan.send(made, f"personal/{i}"),
            made.page.url,
            made=made,
            body=made.page.body,
            personal=[f"{kind}:{value}" for kind, value in values.items()],
        )
    for i in range(number("mixed")):
        chance = Chance(plan.size, "body", "mixed", i)
        english, chinese = plan.body("en", chance, 4), plan.body("zh", chance, 4)
        paragraphs = tuple(text for pair in zip(english.paragraphs, chinese.paragraphs, strict=False) for text in pair)
        body = Body("zh" if i % 2 else "en", english.kind, (chinese if i % 2 else english).title, paragraphs)
        made = plan.make("mixed", i, body, charset="utf-8")
        plan.add("mixed", i, plan.send(made, f"mixed/{i}"), made.page.url, made=made, body=body, domain=None, language="en+zh")


# (language, bytes are in, the header says, the page says, note)
_CONFLICTS = (
    ("zh", "gbk", "utf-8", "gbk", "header wrong, page right"),
    ("zh", "utf-8", "gbk", "utf-8", "header wrong, page right"),
    ("zh", "utf-8", None, "gb2312", "page wrong, no header"),
    ("en", "windows-1252", "utf-8", None, "header wrong, page silent"),
    ("zh", "utf-8", "iso-8859-1", "utf-8", "header is a server's default, page right"),
)


def _charsets(plan: _Plan, number: Callable[[str], int]) -> None:
    for i in range(number("charset_conflict")):
        language, charset, header, meta, note = _CONFLICTS[i % len(_CONFLICTS)]
        _odd_charset(plan, "charset_conflict", i, language, charset, header, meta, note)
    for i in range(number("no_charset")):
        language, charset = (("zh", "gbk"), ("zh", "utf-8"), ("en", "windows-1252"))[i % 3]
        _odd_charset(plan, "no_charset", i, language, charset, None, None, "nobody says")
    for i in range(number("bad_bytes")):
        chance = Chance(plan.size, "body", "bad_bytes", i)
        made = plan.make("bad_bytes", i, plan.body(("en", "zh")[i % 2], chance), charset="utf-8")
        data = render(made.template, made.page).encode()
        for text in chance.sample(made.page.body.paragraphs, 3):
            place = data.find(text[10:30].encode())
            if place > 0:
                data = data[:place] + chance.pick((b"\xff", b"\xc3", b"\xfe\xfe", b"\x80")) + data[place:]
        plan.add("bad_bytes", i, respond(data, "utf-8", chance), made.page.url, made=made, body=made.page.body, note="stray bytes")
    for i in range(number("cut_page")):
        chance = Chance(plan.size, "body", "cut_page", i)
        made = plan.make("cut_page", i, plan.body(("en", "zh")[i % 2], chance, 5), charset="utf-8")
        data = render(made.template, made.page).encode()
        last = made.page.body.paragraphs[-1]
        data = data[: data.find(last[:20].encode()) + len(last.encode()) // 2]
        body = replace(made.page.body, paragraphs=made.page.body.paragraphs[:-1])
        http = http_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(data) * 2))], data)
        plan.add(
            "cut_page",
            i,
            http,
            made.page.url,
            made=made,
            body=body,
            warc_headers=(("WARC-Truncated", "length"),),
            note="cut in the last paragraph, which `text` leaves out",
        )


def _odd_charset(plan: _Plan, name: str, place: int, language: str, charset: str, header: str | None, meta: str | None, note: str) -> None:
    chance = Chance(plan.size, "body", name, place)
    made = plan.make(name, place, plan.body(language, chance), charset=charset)
    made = replace(made, page=replace(made.page, meta_charset=meta))
    plan.add(
        name,
        place,
        plan.send(made, f"{name}/{place}", header_charset=header),
        made.page.url,
        made=made,
        body=made.page.body,
        note=f"{note}: bytes {charset}, header {header}, page {meta}",
    )


def _copies(plan: _Plan, number: Callable[[str], int]) -> None:
    for name in ("near_95", "near_90", "near_85", "near_60"):
        for i in range(number(name)):
            source = plan.copy_from(name, i)
            chance = Chance(plan.size, "body", name, i)
            fresh: tuple[str, ...] = ()
            if name == "near_60":
                fresh = tuple(text for text in plan.body(source.page.body.language, chance, 3).paragraphs if text not in source.page.body.paragraphs)
            body, reached = edited(source.page.body, int(name[-2:]) / 100, chance, fresh)
            # Mostly a revision on the same site, with the same comments; at 0.95 and 0.6 half are an agency's text on another site.
            revision = name in ("near_90", "near_85") or i % 2 == 0
            made = plan.make(name, i, body, template=source.template if revision else None)
            made = replace(made, page=replace(made.page, date=source.page.date, author=source.page.author))
            if revision:
                made = replace(made, page=replace(made.page, key=source.page.key, site=source.page.site, related=source.page.related))
            assert abs(reached - jaccard(source.page.body.text(), body.text())) < 1e-12
            group = {"group": source.record_id.replace("-", "")} if name != "near_60" else {}
            plan.add(
                name,
                i,
                plan.send(made, f"{name}/{i}"),
                made.page.url,
                made=made,
                body=body,
                other=source.page.url,
                jaccard=round(reached, 4),
                **group,
            )
    for i in range(number("mirror")):
        source = plan.copy_from("mirror", i)
        chance = Chance(plan.size, "body", "mirror", i)
        html = render(source.template, source.page)
        host, site = plan.site(source.page.body.kind, source.page.body.is_zh, chance)
        if i % 2:
            html = render(source.template, replace(source.page, site=site))
        url = f"{host}{chance.pick(_PATHS)(chance, source.page.date)}"
        note = "under another site's name" if i % 2 else "byte for byte"
        _repeat(plan, "mirror", i, source, url, html, chance, note)
    for i in range(number("tracked")):
        source = plan.copy_from("tracked", i)
        chance = Chance(plan.size, "body", "tracked", i)
        mark = "&" if "?" in source.page.url else "?"
        url = f"{source.page.url}{mark}{chance.pick(('utm_source=letter&utm_medium=email', 'spm=a1.b2', 'fbclid=' + chance.digits(12), 'from=timeline'))}"
        _repeat(plan, "tracked", i, source, url, render(source.template, source.page), chance, "tracking parameters")
    for i in range(number("url_repeat")):
        source = plan.copy_from("url_repeat", i)
        chance = Chance(plan.size, "body", "url_repeat", i)
        made = plan.make("url_repeat", i, plan.body(source.page.body.language, chance))
        plan.add(
            "url_repeat",
            i,
            plan.send(made, f"url_repeat/{i}"),
            source.page.url,
            made=made,
            body=made.page.body,
            other=source.page.url,
            group=source.record_id.replace("-", ""),
            note="an older text",
        )
    for i in range(number("id_repeat")):
        source = plan.copy_from("id_repeat", i)
        chance = Chance(plan.size, "body", "id_repeat", i)
        made = plan.make("id_repeat", i, plan.body(source.page.body.language, chance))
        plan.add(
            "id_repeat",
            i,
            plan.send(made, f"id_repeat/{i}"),
            made.page.url,
            made=made,
            body=made.page.body,
            record_id=source.record_id,
            other=source.page.url,
            group=source.record_id.replace("-", ""),
        )


def _repeat(plan: _Plan, name: str, place: int, source: Made, url: str, html: str, chance: Chance, note: str) -> None:
    made = replace(source, page=replace(source.page, url=url), record_id=uuid_of(plan.size, name, place))
    http = plan.send(made, f"{name}/{place}", html=html)
    plan.add(
        name,
        place,
        http,
        url,
        made=made,
        body=source.page.body,
        other=source.page.url,
        jaccard=1.0,
        group=source.record_id.replace("-", ""),
        note=note,
    )


def _rubbish(plan: _Plan, number: Callable[[str], int]) -> None:
    for i in range(number("furniture")):
        language, what = ("en", "zh")[i % 2], ("index", "login", "missing", "index")[i // 2 % 4]
        made = plan.make("furniture", i, Body(language, "news", ("Front page", "首页")[i % 2], ()), charset="utf-8")
        http = plan.send(made, f"furniture/{i}", html=furniture_only(made.page, what))
        plan.add("furniture", i, http, made.page.url, made=made, body=made.page.body, template=what, kind=None, text="")
    for i in range(number("short")):
        chance = Chance(plan.size, "body", "short", i)
        zh = i % 2 == 1
        kind = chance.pick(plan.prose.kinds("zh" if zh else "en"))
        passage = chance.pick([p for p in passages_in("zh" if zh else "en") if p.kind == kind])
        parts = sentences(chance.pick(passage.paragraphs), zh)
        text = join(parts[:2], zh) if len(tokens(join(parts[:2], zh))) < (110 if zh else 28) else parts[0]
        made = plan.make(
            "short",
            i,
            Body("zh" if zh else "en", kind, passage.title, (text,)),
            template=chance.pick(("news_article", "blog", "homepage", "portal")),
        )
        plan.add("short", i, plan.send(made, f"short/{i}"), made.page.url, made=made, body=made.page.body)
    for i in range(number("repeated_lines")):
        chance = Chance(plan.size, "body", "repeated_lines", i)
        language = ("en", "zh")[i % 2]
        base = plan.body(language, chance, 3)
        lines = [sentences(text, base.is_zh)[0] for text in base.paragraphs]
        body = replace(base, paragraphs=tuple(chance.shuffled(lines * chance.between(5, 9))))
        made = plan.make("repeated_lines", i, body, charset="utf-8")
        plan.add(
            "repeated_lines",
            i,
            plan.send(made, f"repeated_lines/{i}", html=with_lines(made.page, body.paragraphs)),
            made.page.url,
            made=made,
            body=body,
            template="lines",
        )
    for i in range(number("repeated_paragraphs")):
        chance = Chance(plan.size, "body", "repeated_paragraphs", i)
        base = plan.body(("en", "zh")[i % 2], chance, 3)
        made = plan.make("repeated_paragraphs", i, replace(base, paragraphs=base.paragraphs * 3), template="blog")
        plan.add("repeated_paragraphs", i, plan.send(made, f"repeated_paragraphs/{i}"), made.page.url, made=made, body=made.page.body)
    for i in range(number("contact_list")):
        chance = Chance(plan.size, "body", "contact_list", i)
        lines, values = [], []
        for _ in range(chance.between(25, 45)):
            name = (name_en, name_zh)[i % 2](chance)
            row = {"phone": (phone_en, phone_zh)[i % 2](chance), "email": email(name, chance)}
            if i % 2:
                row["id_number"] = id_number_zh(chance)
            lines.append(" | ".join((name, *row.values())))
            values += [f"{kind}:{value}" for kind, value in row.items()]
        body = Body(("en", "zh")[i % 2], "contact", ("Staff directory", "通讯录")[i % 2], tuple(lines))
        made = plan.make("contact_list", i, body, charset="utf-8")
        plan.add(
            "contact_list",
            i,
            plan.send(made, f"contact_list/{i}", html=with_lines(made.page, lines)),
            made.page.url,
            made=made,
            body=body,
            template="lines",
            personal=values,
        )
    for i in range(number("contact_prose")):
        body, found = contact_prose(("en", "zh")[i % 2], Chance(plan.size, "body", "contact_prose", i))
        made = plan.make("contact_prose", i, body, template=("blog", "official_notice")[i % 2])
        plan.add(
            "contact_prose",
            i,
            plan.send(made, f"contact_prose/{i}"),
            made.page.url,
            made=made,
            body=body,
            personal=[f"{kind}:{value}" for row in found for kind, value in row.items()],
        )
    noise: dict[str, Callable[[Chance], Body]] = {
        "letters": random_letters,
        "han_noise": lambda c: random_han(c, False),
        "han_noise_punctuated": lambda c: random_han(c, True),
    }
    for name, source in noise.items():
        for i in range(number(name)):
            made = plan.make(name, i, source(Chance(plan.size, "body", name, i)), charset="utf-8")
            plan.add(name, i, plan.send(made, f"{name}/{i}"), made.page.url, made=made, body=made.page.body, domain=None, language=None)
    for i in range(number("other_language")):
        body = plan.prose.other(("de", "fr", "es", "ru", "ja", "ko")[i % 6], Chance(plan.size, "body", "other_language", i))
        made = plan.make("other_language", i, body, charset="utf-8", template=("news_article", "blog", "magazine", "homepage")[i // 6 % 4])
        plan.add("other_language", i, plan.send(made, f"other_language/{i}"), made.page.url, made=made, body=body)
    for name in ("gambling", "adult", "seo"):
        for i in range(number(name)):
            body = plan.prose.spam(f"{name}_{('zh', 'en')[i % 2]}", Chance(plan.size, "body", name, i))
            made = plan.make(name, i, body, template=("portal", "blog", "homepage", "news_article", "table_layout")[i // 2 % 5])
            plan.add(name, i, plan.send(made, f"{name}/{i}"), made.page.url, made=made, body=body)
    for i in range(number("contaminated")):
        chance = Chance(plan.size, "body", "contaminated", i)
        language = ("en", "zh")[i % 2]
        body = plan.body(language, chance)
        item = [row for row in plan.benchmarks if row["lang"] == language][i // 2 % 30]
        planted = f"Question: {item['question']} Answer: {item['answer']}" if language == "en" else f"题目：{item['question']}答案：{item['answer']}"
        place = chance.between(1, len(body.paragraphs) - 1)
        made = plan.make("contaminated", i, replace(body, paragraphs=(*body.paragraphs[:place], planted, *body.paragraphs[place:])))
        plan.add("contaminated", i, plan.send(made, f"contaminated/{i}"), made.page.url, made=made, body=made.page.body, benchmark=item["id"])


def _broken(plan: _Plan, number: Callable[[str], int]) -> None:
    def page(name: str, i: int) -> Made:
        language = ("en", "zh")[i % 2]
        return plan.make(name, i, Body(language, "news", ("Front page", "首页")[i % 2], ()), charset="utf-8")

    for i in range(number("empty")):
        made = page("empty", i)
        body = (b"", b"\n", b"<html></html>")[i % 3]
        plan.add(
            "empty",
            i,
            http_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))], body),
            made.page.url,
            note=f"{len(body)} bytes",
        )
    files = (
        ("application/pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n"),
        ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"),
        ("application/json", b'{"items": [1, 2, 3], "next": null}'),
        ("video/mp4", b"\x00\x00\x00\x18ftypmp42"),
        ("text/css", b"body{margin:0}\n"),
        ("application/javascript", b"(function(){return 1})();\n"),
    )
    for i in range(number("not_html")):
        made, chance = page("not_html", i), Chance(plan.size, "body", "not_html", i)
        kind, start = files[i % len(files)]
        data = start + (
            b"" if kind.startswith(("text", "application/j")) else b"".join(chance.bits().to_bytes(8, "little") for _ in range(chance.between(20, 200)))
        )
        plan.add(
            "not_html",
            i,
            http_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(data)))], data),
            f"{made.page.url}.{kind[-3:]}",
            note=kind,
        )
    for i in range(number("error_page")):
        made, chance = page("error_page", i), Chance(plan.size, "body", "error_page", i)
        status = ("404 Not Found", "301 Moved Permanently", "403 Forbidden", "500 Internal Server Error")[i % 4]
        data = furniture_only(made.page, "missing").encode()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(data)))] + ([("Location", "/")] if i % 4 == 1 else [])
        plan.add("error_page", i, http_response(status, headers, data), made.page.url, template="missing", note=status)
    for i in range(number("cut_payload")):
        chance = Chance(plan.size, "body", "cut_payload", i)
        made = plan.make("cut_payload", i, plan.body(("en", "zh")[i % 2], chance), charset="utf-8")
        data = gzip_stored(render(made.template, made.page).encode())
        data = data[: len(data) * 2 // 5]
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Encoding", "gzip"), ("Content-Length", str(len(data)))]
        plan.add(
            "cut_payload",
            i,
            http_response("200 OK", headers, data),
            made.page.url,
            made=made,
            body=made.page.body,
            note="gzip body cut at two fifths",
        )
    for i in range(number("cut_record")):
        chance = Chance(plan.size, "body", "cut_record", i)
        made = plan.make("cut_record", i, plan.body("en", chance), charset="utf-8")
        plan.add(
            "cut_record",
            i,
            plan.send(made, f"cut_record/{i}"),
            made.page.url,
            made=made,
            body=made.page.body,
            cut=True,
            note="the file ends in the middle of this record",
        )


def crawl(size: str, prose: Prose, benchmarks: Sequence[dict[str, Any]]) -> list[Record]:
    """All response records of the `full` or `small` sample, in the order in which they lie in its files."""
    plan = _Plan(size, prose, benchmarks)

    def number(name: str) -> int:
        return CLASSES[name][1 if size == "small" else 0]

    for step in (_articles, _charsets, _copies, _rubbish, _broken):
        step(plan, number)
    # The cut record ends its file, so it is the last of all.
    return sorted(Chance(size, "order").shuffled(plan.records), key=lambda record: record.cut)


def warc_files(size: str, records: Sequence[Record], files: int) -> Iterator[tuple[str, bytes, list[dict[str, Any]]]]:
    """(name, content, rows of the truth) of each WARC file: members of one record each, as crawlers write them."""
    for number in range(files):
        name = f"sample-{number:05d}.warc.gz"
        share = records[len(records) * number // files : len(records) * (number + 1) // files]
        members: list[bytes] = []
        rows: list[dict[str, Any]] = []
        offset = 0

        def put(record: bytes, row: dict[str, Any], cut: bool = False) -> None:
            nonlocal offset
            member = gzip_stored(record)
            if cut:
                member = member[: len(member) // 2]
            rows.append({**row, "file": f"crawl/{name}", "offset": offset})  # noqa: B023  # called in this turn of the loop only
            members.append(member)  # noqa: B023
            offset += len(member)

        def beside(kind: str, url: str | None, key: object) -> dict[str, Any]:
            expect, also = _BESIDE
            return {
                "id": uuid_of(size, kind, key).replace("-", ""),
                "url": url,
                "source": "web",
                "class": kind,
                "expect": expect,
                "also": list(also),
                "domain": None,
            }

        info = f"software: SkyPile builder, bundled sample\r\nformat: WARC File Format 1.1\r\nisPartOf: sample-{size}\r\n".encode()
        put(
            warc_record(
                "warcinfo",
                uuid_of(size, "warcinfo", number),
                "2026-10-01T00:00:00Z",
                "application/warc-fields",
                info,
                [("WARC-Filename", name)],
            ),
            beside("warcinfo", None, number),
        )
        for place, record in enumerate(share):
            chance = Chance(size, "beside", number, place)
            target = ("WARC-Target-URI", record.url)
            if chance.happens(8):
                path = record.url.split("/", 3)[3] if record.url.count("/") > 2 else ""
                request = f"GET /{path} HTTP/1.1\r\nHost: {record.url.split('/')[2]}\r\nUser-Agent: sample-bot/1.0\r\nAccept: text/html\r\n\r\n".encode()
                key = f"{number}/{place}"
                put(
                    warc_record("request", uuid_of(size, "request", key), record.crawled, "application/http; msgtype=request", request, [target]),
                    beside("request", record.url, key),
                )
            put(
                warc_record(
                    "response",
                    record.record_id,
                    record.crawled,
                    "application/http; msgtype=response",
                    record.http,
                    [target, ("WARC-IP-Address", f"203.0.113.{chance.below(255)}"), *record.warc_headers],
                ),
                record.truth,
                record.cut,
            )
            if chance.happens(4) and not record.cut:
                kind = chance.pick(("metadata", "revisit"))
                key = f"{number}/{place}"
                block = f"fetchTimeMs: {chance.between(20, 900)}\r\n".encode() if kind == "metadata" else b"HTTP/1.1 304 Not Modified\r\n\r\n"
                content_type = "application/warc-fields" if kind == "metadata" else "application/http; msgtype=response"
                put(
                    warc_record(kind, uuid_of(size, kind, key), record.crawled, content_type, block, [target]),
                    beside(kind, record.url, key),
                )
        yield name, b"".join(members), rows
