"""The crawl of the sample: each class of `sample_plan.CLASSES` made page by page, and the WARC files that they lie in.

Costs some 4 seconds and 150 MB for the full sample.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.sources.sample_bytes import Chance, gzip_stored, http_response, uuid_of, warc_record
from pipeline.sources.sample_pages import furniture_only, render, with_lines
from pipeline.sources.sample_plan import BESIDE, CLASSES, Made, Plan, Record, path_of, respond
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
    passages_in,
    phone_en,
    phone_zh,
    random_han,
    random_letters,
    sentences,
    tokens,
)

# --- the classes, in the order in which they draw from the prose ---------------------------------------------------------


def _articles(plan: Plan, number: Callable[[str], int]) -> None:
    for name, language in (("article_en", "en"), ("article_zh", "zh"), ("article_hant", "zh-Hant")):
        originals = [plan.article(name, i, language) for i in range(number(name))]
        plan.originals[name] = Chance(plan.size, "originals", name).shuffled(originals)
    for i in range(number("personal")):
        language = ("en", "zh", "en", "zh", "zh-Hant")[i % 5]
        chance = Chance(plan.size, "body", "personal", i)
        body = plan.body(language, chance)
        sentence, values = contact_sentence(language, chance)
        made = plan.make("personal", i, replace(body, paragraphs=(*body.paragraphs, sentence)))
        plan.show(
            "personal",
            i,
            made,
            personal=[f"{kind}:{value}" for kind, value in values.items()],
        )
    for i in range(number("mixed")):
        chance = Chance(plan.size, "body", "mixed", i)
        english, chinese = plan.body("en", chance, 3), plan.body("zh", chance, 6)
        pairs = zip(chinese.paragraphs[::2], english.paragraphs, chinese.paragraphs[1::2], strict=False)  # most of the letters are Han
        body = Body("zh" if i % 2 else "en", english.kind, (chinese if i % 2 else english).title, tuple(text for pair in pairs for text in pair))
        made = plan.make("mixed", i, body, charset="utf-8")
        plan.show("mixed", i, made, domain=None, language="en+zh")


# (language, bytes are in, the header says, the page says, note)
_CONFLICTS = (
    ("zh", "gbk", "utf-8", "gbk", "header wrong, page right"),
    ("zh", "utf-8", "gbk", "utf-8", "header wrong, page right"),
    ("zh", "utf-8", None, "gb2312", "page wrong, no header"),
    ("en", "windows-1252", "utf-8", None, "header wrong, page silent"),
    ("zh", "utf-8", "iso-8859-1", "utf-8", "header is a server's default, page right"),
)


def _charsets(plan: Plan, number: Callable[[str], int]) -> None:
    for i in range(number("charset_conflict")):
        _odd_charset(plan, "charset_conflict", i, _CONFLICTS[i % len(_CONFLICTS)])
    for i in range(number("no_charset")):
        language, charset = (("zh", "gbk"), ("zh", "utf-8"), ("en", "windows-1252"))[i % 3]
        _odd_charset(plan, "no_charset", i, (language, charset, None, None, "nobody says"))
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


def _odd_charset(plan: Plan, name: str, place: int, case: tuple[str, str, str | None, str | None, str]) -> None:
    language, charset, header, meta, note = case
    chance = Chance(plan.size, "body", name, place)
    made = plan.make(name, place, plan.body(language, chance), charset=charset)
    made = replace(made, page=replace(made.page, meta_charset=meta))
    plan.show(
        name,
        place,
        made,
        header_charset=header,
        note=f"{note}: bytes {charset}, header {header}, page {meta}",
    )


def _copies(plan: Plan, number: Callable[[str], int]) -> None:
    for name in ("near_95", "near_90", "near_85", "near_60"):
        for i in range(number(name)):
            source = plan.copy_from(i)
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
            group = source.record_id.replace("-", "") if name != "near_60" else None
            plan.show(
                name,
                i,
                made,
                other=source.page.url,
                jaccard=round(reached, 4),
                group=group,
            )
    for i in range(number("mirror")):
        source = plan.copy_from(i)
        chance = Chance(plan.size, "body", "mirror", i)
        html = render(source.template, source.page)
        host, site = plan.site(source.page.body.kind, source.page.body.is_zh, chance)
        if i % 2:
            html = render(source.template, replace(source.page, site=site))
        url = f"{host}{path_of(chance, source.page.date)}"
        note = "under another site's name" if i % 2 else "byte for byte"
        _repeat(plan, "mirror", i, source=source, url=url, html=html, note=note)
    for i in range(number("tracked")):
        source = plan.copy_from(i)
        chance = Chance(plan.size, "body", "tracked", i)
        mark = "&" if "?" in source.page.url else "?"
        url = f"{source.page.url}{mark}{chance.pick(('utm_source=letter&utm_medium=email', 'spm=a1.b2', 'fbclid=' + chance.digits(12), 'from=timeline'))}"
        _repeat(plan, "tracked", i, source=source, url=url, html=render(source.template, source.page), note="tracking parameters")
    for i in range(number("url_repeat")):
        source = plan.copy_from(i)
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
        source = plan.copy_from(i)
        chance = Chance(plan.size, "body", "id_repeat", i)
        made = plan.make("id_repeat", i, plan.body(source.page.body.language, chance))
        plan.show(
            "id_repeat",
            i,
            made,
            record_id=source.record_id,
            other=source.page.url,
            group=source.record_id.replace("-", ""),
        )


def _repeat(plan: Plan, name: str, place: int, *, source: Made, url: str, html: str, note: str) -> None:
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


def _rubbish(plan: Plan, number: Callable[[str], int]) -> None:
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
        text = join(parts[:2], zh) if len(tokens(join(parts[:2], zh))) < (90 if zh else 28) else parts[0]
        made = plan.make(
            "short",
            i,
            Body("zh" if zh else "en", kind, passage.title, (text,)),
            template=chance.pick(("news_article", "homepage")),
        )
        plan.show("short", i, made)
    for i in range(number("repeated_lines")):
        chance = Chance(plan.size, "body", "repeated_lines", i)
        language = ("en", "zh")[i % 2]
        base = plan.body(language, chance, 3)
        lines = [sentences(text, base.is_zh)[0] for text in base.paragraphs]
        body = replace(base, paragraphs=tuple(chance.shuffled(lines * chance.between(5, 9))))
        made = plan.make("repeated_lines", i, body, charset="utf-8")
        plan.show(
            "repeated_lines",
            i,
            made,
            html=with_lines(made.page, body.paragraphs),
            template="lines",
        )
    for i in range(number("repeated_paragraphs")):
        chance = Chance(plan.size, "body", "repeated_paragraphs", i)
        base = plan.body(("en", "zh")[i % 2], chance, 3)
        made = plan.make("repeated_paragraphs", i, replace(base, paragraphs=base.paragraphs * 3), template="blog")
        plan.show("repeated_paragraphs", i, made)
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
        plan.show(
            "contact_list",
            i,
            made,
            html=with_lines(made.page, lines),
            template="lines",
            personal=values,
        )
    for i in range(number("contact_prose")):
        body, found = contact_prose(("en", "zh")[i % 2], Chance(plan.size, "body", "contact_prose", i))
        made = plan.make("contact_prose", i, body, template=("blog", "official_notice")[i % 2])
        plan.show(
            "contact_prose",
            i,
            made,
            personal=[f"{kind}:{value}" for row in found for kind, value in row.items()],
        )
    noise: dict[str, Callable[[Chance], Body]] = {
        "letters": random_letters,
        "han_noise": lambda c: random_han(c, False),
        "han_noise_punctuated": lambda c: random_han(c, True),
    }
    for name, source in noise.items():
        for i in range(number(name)):
            made = plan.make(name, i, source(Chance(plan.size, "body", name, i)), charset="utf-8", template=("homepage", "mobile_story", "news_article")[i % 3])
            plan.show(name, i, made, domain=None, language=None)
    for i in range(number("other_language")):
        body = plan.prose.other(("de", "fr", "es", "ru", "ja", "ko")[i % 6], Chance(plan.size, "body", "other_language", i))
        made = plan.make("other_language", i, body, charset="utf-8", template=("news_article", "blog", "magazine", "homepage")[i // 6 % 4])
        plan.show("other_language", i, made)
    for name in ("gambling", "adult", "seo"):
        for i in range(number(name)):
            body = plan.prose.spam(f"{name}_{('zh', 'en')[i % 2]}", Chance(plan.size, "body", name, i))
            made = plan.make(name, i, body, template=("portal", "blog", "homepage", "news_article", "table_layout")[i // 2 % 5])
            plan.show(name, i, made)
    for i in range(number("contaminated")):
        chance = Chance(plan.size, "body", "contaminated", i)
        language = ("en", "zh")[i % 2]
        body = plan.body(language, chance)
        item = [row for row in plan.benchmarks if row["lang"] == language][i // 2 % 30]
        planted = f"Question: {item['question']} Answer: {item['answer']}" if language == "en" else f"题目：{item['question']}答案：{item['answer']}"
        place = chance.between(1, len(body.paragraphs) - 1)
        made = plan.make("contaminated", i, replace(body, paragraphs=(*body.paragraphs[:place], planted, *body.paragraphs[place:])))
        plan.show("contaminated", i, made, benchmark=item["id"])


def _broken(plan: Plan, number: Callable[[str], int]) -> None:
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
        plan.show(
            "cut_record",
            i,
            made,
            cut=True,
            note="the file ends in the middle of this record",
        )


def crawl(size: str, prose: Prose, benchmarks: Sequence[dict[str, Any]]) -> list[Record]:
    """All response records of the `full` or `small` sample, in the order in which they lie in its files."""
    plan = Plan(size, prose, benchmarks)

    def number(name: str) -> int:
        full, small, _, _ = CLASSES[name]
        return small if size == "small" else full

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
            expect, also = BESIDE
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
