"""The page templates of the sample: a `Page` in, HTML as sites of many ages write it out.

Realistic, not adversarial: what is not the article sits in elements and under class names that real sites use for it, so that an
extractor with ordinary heuristics finds the main text in most. Each template is a function; `TEMPLATES` is the list. Costs 0.1 ms a page.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

from pipeline.sources.sample_bytes import Chance
from pipeline.sources.sample_texts import Body
from pipeline.store import open_data


@dataclass(frozen=True)
class Page:
    """Everything that a template may set; equal pages give equal HTML."""

    body: Body
    url: str
    site: str
    author: str
    date: str  # YYYY-MM-DD
    related: tuple[str, ...]  # titles of other pages
    meta_charset: str | None  # what the page itself says
    key: str  # of its chance


class Words:
    """The interface words of one language. What a small language lacks is taken from its navigation."""

    def __init__(self, language: str) -> None:
        self._words: dict[str, Any] = _interface()[language]

    def one(self, key: str) -> str:
        found = self._words.get(key)
        return str(found) if isinstance(found, str) else str(self.many("nav")[len(key) % len(self.many("nav"))])

    def many(self, key: str) -> Sequence[str]:
        found = self._words.get(key)
        return found if isinstance(found, list) else self._words["nav"]


@lru_cache(maxsize=1)
def _interface() -> dict[str, Any]:
    return json.loads(open_data("sources/sample_data/interface.json"))  # type: ignore[no-any-return]


class _Parts:
    """The furniture that templates share, for one page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = Words(page.body.language)
        self.chance = Chance("page", page.key)
        self.title = escape(page.body.title, quote=False)
        self.lang = {"zh": "zh-CN", "zh-Hant": "zh-TW"}.get(page.body.language, page.body.language)

    def paragraphs(self, tag: str = "p", attributes: str = "") -> str:
        return "\n".join(f"<{tag}{attributes}>{escape(text, quote=False)}</{tag}>" for text in self.page.body.paragraphs)

    def texts(self) -> list[str]:
        return [escape(text, quote=False) for text in self.page.body.paragraphs]

    def meta(self) -> str:
        charset = self.page.meta_charset
        if charset is None:
            return ""
        if self.chance.happens(50):
            return f'<meta charset="{charset}">\n'
        return f'<meta http-equiv="Content-Type" content="text/html; charset={charset}">\n'

    def head(self, style: str = "", json_ld: bool = False) -> str:
        parts = [f"<head>\n{self.meta()}", f"<title>{self.title} - {escape(self.page.site)}</title>\n"]
        parts.append('<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="stylesheet" href="/static/main.9f3a.css">\n')
        parts.append(f'<link rel="canonical" href="{escape(self.page.url)}">\n<meta property="og:title" content="{escape(self.page.body.title)}">\n')
        if json_ld:
            # \/ and \u escapes keep the script pure ASCII, as many systems write it.
            data = {
                "@context": "https://schema.org",
                "@type": "Article",
                "headline": self.page.body.title,
                "datePublished": self.page.date,
                "author": self.page.author,
            }
            parts.append(f'<script type="application/ld+json">{json.dumps(data).replace("</", "<" + chr(92) + "/")}</script>\n')
        parts.append(f"<style>{style or 'body{font:16px/1.5 sans-serif}.ad{border:1px solid #ccc}nav li{display:inline}'}</style>\n")
        parts.append(
            "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments);}gtag('js',new Date());"
            f"gtag('config','X-{self.chance.digits(8)}');</script>\n</head>\n"
        )
        return "".join(parts)

    def links(self, labels: Sequence[str], tag: str = "li") -> str:
        return "".join(f'<{tag}><a href="/{self.chance.below(900)}/">{escape(label)}</a></{tag}>' for label in labels)

    def nav(self, name: str = "main-nav") -> str:
        return f'<nav class="{name}" role="navigation"><ul class="menu">{self.links(self.words.many("nav"))}</ul></nav>\n'

    def header(self) -> str:
        return (
            f'<header class="site-header"><a class="logo" href="/">{escape(self.page.site)}</a>\n{self.nav()}'
            f'<form class="search" action="/s"><input name="q" placeholder="{escape(self.words.one("search"))}"><button>{escape(self.words.one("search"))}</button></form></header>\n'
        )

    def cookies(self) -> str:
        w = self.words
        return (
            f'<div id="cookie-banner" class="cookie-consent" role="dialog"><p>{escape(w.one("cookie"))}</p>'
            f"<button>{escape(w.one('accept'))}</button><button>{escape(w.one('decline'))}</button></div>\n"
        )

    def ad(self) -> str:
        return f'<div class="ad advertisement" id="ad-{self.chance.below(999)}"><a href="https://ads.example/c?{self.chance.digits(6)}" rel="sponsored">{escape(self.chance.pick(self.words.many("ads")))}</a></div>\n'

    def share(self) -> str:
        return f'<div class="share-buttons social-share"><ul>{self.links(self.words.many("share"))}</ul></div>\n'

    def crumbs(self) -> str:
        trail = self.chance.sample(self.words.many("nav"), 3)
        return (
            '<nav class="breadcrumb" aria-label="breadcrumb">'
            + " &raquo; ".join(f'<a href="/{i}/">{escape(name)}</a>' for i, name in enumerate(trail))
            + "</nav>\n"
        )

    def related(self) -> str:
        items = "".join(f'<li><a href="/r/{self.chance.digits(5)}.html">{escape(title)}</a></li>' for title in self.page.related)
        return f'<section class="related-posts"><h3>{escape(self.words.one("related"))}</h3><ul>{items}</ul></section>\n'

    def sidebar(self) -> str:
        items = "".join(f'<li><a href="/p/{self.chance.digits(5)}.html">{escape(title)}</a></li>' for title in self.chance.shuffled(self.page.related)[:4])
        return (
            f'<aside class="sidebar" id="sidebar">{self.ad()}<div class="widget"><h3>{escape(self.words.one("popular"))}</h3><ol>{items}</ol></div>'
            f'<div class="widget newsletter"><p>{escape(self.words.one("newsletter"))}</p><input type="email" name="e"><button>OK</button></div></aside>\n'
        )

    def comments(self, count: int = 4) -> str:
        w = self.words
        said = "".join(
            f'<li class="comment"><div class="comment-author">{escape(self.chance.pick(w.many("users")))}</div><div class="comment-body"><p>{escape(text)}</p></div><a class="reply" href="#">{escape(w.one("reply"))}</a></li>'
            for text in self.chance.sample(w.many("said"), count)
        )
        return f'<section id="comments" class="comments-area"><h3>{escape(w.one("comments"))} ({count})</h3><ul class="comments comment-list">{said}</ul></section>\n'

    def tags(self) -> str:
        return f'<div class="tags">{escape(self.words.one("tags"))}: {self.links(self.chance.sample(self.words.many("nav"), 3), "span")}</div>\n'

    def byline(self) -> str:
        w = self.words
        return f'<div class="byline post-meta"><span class="author">{escape(w.one("by"))} {escape(self.page.author)}</span> <time datetime="{self.page.date}">{self.page.date}</time></div>\n'

    def footer(self) -> str:
        return (
            f'<footer class="site-footer"><ul>{self.links(self.words.many("footer"))}</ul><p class="copyright">&copy; 2026 {escape(self.page.site)}. {escape(self.words.one("rights"))}</p></footer>\n'
            f"<script>(function(){{var s=document.createElement('script');s.src='/static/app.{self.chance.digits(6)}.js';document.body.appendChild(s);}})();</script>\n"
        )

    def page_of(self, inside: str, *, style: str = "", json_ld: bool = False, body: str = "") -> str:
        return f'<!DOCTYPE html>\n<html lang="{self.lang}">\n{self.head(style, json_ld)}<body{body}>\n{inside}</body>\n</html>\n'


def news_article(p: _Parts) -> str:
    """A newspaper of today: header, article, aside, footer, JSON-LD, a cookie banner, advertisements between paragraphs."""
    texts = [f"<p>{text}</p>\n" for text in p.texts()]
    texts.insert(min(2, len(texts)), p.ad())
    return p.page_of(
        f'{p.cookies()}{p.header()}<main id="main">\n{p.crumbs()}<article class="article">\n<h1>{p.title}</h1>\n{p.byline()}{p.share()}'
        f'<div class="article-body">\n{"".join(texts)}</div>\n{p.tags()}</article>\n{p.related()}{p.comments()}</main>\n{p.sidebar()}{p.footer()}',
        json_ld=True,
    )


def blog(p: _Parts) -> str:
    """A blog as the widespread blog software sets it."""
    w = p.words
    return p.page_of(
        f'<div id="page" class="site">\n{p.header()}<div id="content" class="site-content"><div id="primary" class="content-area"><main class="site-main">\n'
        f'<article id="post-{p.chance.digits(4)}" class="post hentry">\n<header class="entry-header"><h1 class="entry-title">{p.title}</h1>{p.byline()}</header>\n'
        f'<div class="entry-content">\n{p.paragraphs()}\n</div>\n<footer class="entry-footer">{p.tags()}{p.share()}</footer></article>\n'
        f'<nav class="post-navigation"><a rel="prev" href="/a/">{escape(w.one("previous"))}</a> <a rel="next" href="/b/">{escape(w.one("next"))}</a></nav>\n'
        f"</main></div></div>\n{p.comments(3)}{p.sidebar()}{p.footer()}</div>\n"
    )


def wiki(p: _Parts) -> str:
    """An encyclopaedia: contents, infobox, headings with edit links, categories."""
    w = p.words
    texts = p.texts()
    lines = [f"<p><b>{p.title}</b></p>\n<p>{texts[0]}</p>\n"]
    heads = p.chance.sample(w.many("sections"), len(w.many("sections")))
    for i, text in enumerate(texts[1:]):
        if i % 2 == 0:
            lines.append(
                f'<h2><span class="mw-headline">{escape(heads[i // 2 % len(heads)])}</span><span class="mw-editsection">[<a href="/e">{escape(w.one("edit"))}</a>]</span></h2>\n'
            )
        lines.append(f"<p>{text}</p>\n")
    contents = "".join(f'<li class="toclevel-1"><a href="#s{i}">{escape(name)}</a></li>' for i, name in enumerate(heads[: (len(texts) + 1) // 2]))
    return p.page_of(
        f'<div id="mw-page-base"></div><div id="content" class="mw-body" role="main"><h1 id="firstHeading">{p.title}</h1>\n<div id="bodyContent">\n<div id="mw-content-text" class="mw-parser-output">\n'
        f'<table class="infobox"><tr><th>{escape(w.one("categories"))}</th><td>{escape(p.chance.pick(w.many("nav")))}</td></tr></table>\n'
        f'<div id="toc" class="toc" role="navigation"><h2>{escape(w.one("contents"))}</h2><ul>{contents}</ul></div>\n{"".join(lines)}</div></div>\n'
        f'<div id="catlinks" class="catlinks">{escape(w.one("categories"))}: {p.links(p.chance.sample(w.many("nav"), 3), "span")}</div></div>\n'
        f'<div id="mw-navigation">{p.nav("portal")}</div>\n{p.footer()}'
    )


def forum_thread(p: _Parts) -> str:
    """A bulletin board: every paragraph is a post, with its author's panel, signature and buttons."""
    w = p.words
    posts = []
    for i, text in enumerate(p.texts()):
        user = escape(p.chance.pick(w.many("users")))
        posts.append(
            f'<div class="post" id="p{p.chance.digits(6)}"><div class="post-sidebar user-info"><a class="username" href="/u/{i}">{user}</a><br>{escape(w.one("posts"))}: {p.chance.below(4000)}</div>\n'
            f'<div class="post-body"><div class="post-date">{p.page.date} #{i + 1}</div><div class="post-content"><p>{text}</p></div>'
            f'<div class="post-buttons"><a href="#">{escape(w.one("quote"))}</a> <a href="#">{escape(w.one("report"))}</a></div></div></div>\n'
        )
    return p.page_of(
        f'{p.header()}{p.crumbs()}<div id="forum" class="content"><h1 class="thread-title">{p.title}</h1>\n<div class="pagination"><a href="?p=1">1</a> <a href="?p=2">2</a></div>\n'
        f'<main class="thread">{"".join(posts)}</main>\n<div class="pagination"><a href="?p=2">{escape(w.one("next"))}</a></div></div>\n{p.related()}{p.footer()}'
    )


def shop_product(p: _Parts) -> str:
    """A shop: gallery, price, description, reviews, similar goods."""
    w = p.words
    similar = "".join(
        f'<li class="card"><a href="/i/{p.chance.digits(5)}"><img src="/img/{p.chance.digits(5)}.jpg" alt=""><span>{escape(title)}</span></a> <b>{p.chance.between(5, 400)}.90</b></li>'
        for title in p.page.related
    )
    return p.page_of(
        f'{p.cookies()}{p.header()}{p.crumbs()}<main class="product-page"><div class="gallery"><img src="/img/{p.chance.digits(6)}.jpg" alt=""><img src="/img/{p.chance.digits(6)}.jpg" alt=""></div>\n'
        f'<div class="product-summary"><h1>{p.title}</h1><span class="price">{escape(w.one("price"))}: {p.chance.between(9, 900)}.00</span> <span class="stock">{escape(w.one("stock"))}</span>'
        f'<form class="cart"><select name="n"><option>1</option><option>2</option></select><button>{escape(w.one("basket"))}</button></form><p class="delivery">{escape(w.one("delivery"))}</p></div>\n'
        f'<article class="product-description" id="description"><h2>{escape(w.one("details"))}</h2>\n{p.paragraphs()}\n</article>\n</main>\n'
        f'<section class="reviews comments"><h2>{escape(w.one("reviews"))}</h2>{p.comments(3)}</section>\n<aside class="similar-products related"><h2>{escape(w.one("similar"))}</h2><ul>{similar}</ul></aside>\n{p.footer()}'
    )


def recipe_page(p: _Parts) -> str:
    """A cookery site: the text, with a list of ingredients beside it."""
    w = p.words
    items = "".join(f"<li>{escape(item)}</li>" for item in p.chance.sample(w.many("items"), 6))
    return p.page_of(
        f'{p.header()}<main><article class="recipe" itemscope itemtype="https://schema.org/Recipe"><h1 itemprop="name">{p.title}</h1>\n{p.byline()}'
        f'<div class="recipe-tools"><button>{escape(w.one("save"))}</button><button>{escape(w.one("print"))}</button></div>\n'
        f'<aside class="recipe-ingredients sidebar"><h3>{escape(w.one("ingredients"))} ({escape(w.one("serves"))})</h3><ul>{items}</ul></aside>\n'
        f'<div class="recipe-method" itemprop="recipeInstructions">\n{p.paragraphs()}\n</div></article>\n{p.ad()}{p.related()}{p.comments(4)}</main>\n{p.footer()}',
        json_ld=True,
    )


def documentation(p: _Parts) -> str:
    """A manual: a tree of links on the left, numbered headings, next and previous."""
    w = p.words
    tree = "".join(f'<li class="toctree-l1"><a href="{i}.html">{i}. {escape(title)}</a></li>' for i, title in enumerate(p.page.related, 1))
    parts = []
    for i, text in enumerate(p.texts()):
        if i and i % 2 == 0:
            parts.append(f'<h2 id="s{i}">{escape(w.many("sections")[i // 2 % len(w.many("sections"))])}</h2>\n')
        parts.append(f"<p>{text}</p>\n")
    return p.page_of(
        f'<div class="wy-grid"><nav class="wy-nav-side sidebar"><div class="search"><input type="text"></div><ul>{tree}</ul></nav>\n<section class="wy-nav-content-wrap"><div class="rst-content">{p.crumbs()}'
        f'<div role="main" class="document" itemscope><div itemprop="articleBody"><section id="top"><h1>{p.title}</h1>\n{"".join(parts)}</section></div></div>\n'
        f'<footer><div class="rst-footer-buttons" role="navigation"><a href="1.html">{escape(w.one("previous"))}</a> <a href="2.html">{escape(w.one("next"))}</a></div><p>{escape(w.one("updated"))} {p.page.date}</p></footer></div></section></div>\n'
    )


def table_layout(p: _Parts) -> str:
    """HTML 4 of the nineties: nested tables, FONT, unclosed paragraphs."""
    w = p.words
    links = "<br>\n".join(f'<A HREF="/{i}.htm"><FONT SIZE="-1">{escape(name)}</FONT></A>' for i, name in enumerate(w.many("nav")))
    texts = '\n<P><FONT FACE="Verdana" SIZE="2">'.join(p.texts())
    return (
        f'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">\n<HTML>\n<HEAD>\n{p.meta()}<TITLE>{p.title}</TITLE>\n</HEAD>\n<BODY BGCOLOR="#FFFFFF" TEXT="#000000">\n'
        f'<TABLE WIDTH="760" BORDER="0" CELLPADDING="4"><TR><TD COLSPAN="2" BGCOLOR="#336699"><FONT COLOR="#FFFFFF" SIZE="+2">{escape(p.page.site)}</FONT></TD></TR>\n'
        f'<TR VALIGN="top"><TD WIDTH="140" CLASS="nav" BGCOLOR="#EEEEEE">{links}</TD>\n<TD><H2>{p.title}</H2>\n<P><FONT FACE="Verdana" SIZE="2">{texts}\n'
        f'<HR NOSHADE><CENTER><FONT SIZE="1">{p.chance.digits(5)} {escape(w.one("counter"))} | <A HREF="/guest.htm">{escape(w.one("guestbook"))}</A></FONT></CENTER></TD></TR></TABLE>\n</BODY>\n</HTML>\n'
    )


def official_notice(p: _Parts) -> str:
    """A public office: position line, source and date, a text block, print and close, the editor's name."""
    w = p.words
    return p.page_of(
        f'<div class="top-bar">{p.nav("nav")}</div>\n<div class="position breadcrumb">{escape(w.one("position"))} {escape(" > ".join(p.chance.sample(w.many("nav"), 3)))}</div>\n<div class="main content"><h1 class="title">{p.title}</h1>\n'
        f'<div class="info post-meta"><span>{escape(w.one("source"))} {escape(p.page.site)}</span> <span>{escape(w.one("published"))} {p.page.date}</span> <span>{p.chance.below(9000)} {escape(w.one("views"))}</span></div>\n'
        f'<div class="TRS_Editor" id="zoom">\n{p.paragraphs(attributes=" style=" + chr(34) + "text-indent:2em" + chr(34))}\n</div>\n'
        f'<div class="tools"><a href="javascript:window.print()">{escape(w.one("print"))}</a> <a href="javascript:window.close()">{escape(w.one("close"))}</a></div></div>\n{p.related()}{p.footer()}'
    )


def portal(p: _Parts) -> str:
    """A news portal: everything is a div, with rankings, sharing and a long footer."""
    w = p.words
    texts = [f"<p>{text}</p>\n" for text in p.texts()]
    texts.insert(
        len(texts) // 2,
        f'<div class="ad-box ads"><a href="https://ads.example/{p.chance.digits(5)}">{escape(p.chance.pick(w.many("ads")))}</a></div>\n',
    )
    return p.page_of(
        f'<div class="topnav nav">{"".join(p.links(w.many("nav"), "span"))}</div>\n<div class="path breadcrumb">{escape(w.one("position"))}<a href="/">{escape(p.page.site)}</a></div>\n'
        f'<div class="article-wrap"><div class="main-title"><h1>{p.title}</h1></div>\n<div class="date-source post-meta"><span class="date">{p.page.date} {p.chance.between(6, 22):02d}:{p.chance.below(60):02d}</span> <span class="source">{escape(p.page.site)}</span></div>\n'
        f'<div class="article" id="artibody">\n{"".join(texts)}</div>\n{p.share()}</div>\n<div class="right sidebar">{p.related()}{p.ad()}</div>\n{p.comments(4)}{p.footer()}'
    )


def journal(p: _Parts) -> str:
    """A learned journal: abstract, sections, keywords, how to cite."""
    w = p.words
    texts = p.texts()
    parts = [f'<section class="abstract"><h2>{escape(w.one("abstract"))}</h2>\n<p>{texts[0]}</p></section>\n']
    for i, text in enumerate(texts[1:], 1):
        parts.append(f'<section id="sec{i}"><h2>{i} {escape(w.many("sections")[(i - 1) % len(w.many("sections"))])}</h2>\n<p>{text}</p></section>\n')
    return p.page_of(
        f'{p.header()}<main><article class="research-article">\n<h1>{p.title}</h1>\n{p.byline()}<div class="article-tools"><a href="/pdf">{escape(w.one("download"))}</a> <a href="/cite">{escape(w.one("cite"))}</a></div>\n'
        f'{"".join(parts)}</article></main>\n<aside class="metrics sidebar"><p>{p.chance.below(900)} {escape(w.one("views"))}</p>{p.related()}</aside>\n{p.footer()}',
        json_ld=True,
    )


def magazine(p: _Parts) -> str:
    """A travel magazine: figures between paragraphs, a newsletter box, popular stories."""
    w = p.words
    parts = []
    for i, text in enumerate(p.texts()):
        if i % 3 == 1:
            parts.append(
                f'<figure><img src="/photos/{p.chance.digits(7)}.jpg" alt=""><figcaption class="caption">{escape(w.one("photo"))}: {escape(p.page.author)}</figcaption></figure>\n'
            )
        parts.append(f"<p>{text}</p>\n")
    return p.page_of(
        f'{p.cookies()}{p.header()}<main class="story"><article>\n<h1>{p.title}</h1>\n{p.byline()}{"".join(parts)}</article>\n<div class="newsletter-signup newsletter"><p>{escape(w.one("newsletter"))}</p></div>{p.related()}</main>\n{p.sidebar()}{p.footer()}',
        json_ld=True,
    )


def gazette(p: _Parts) -> str:
    """A collection of rules: each paragraph a numbered section."""
    parts = [f'<div class="provision" id="a{i}"><h3>&sect; {i}</h3>\n<p>{text}</p></div>\n' for i, text in enumerate(p.texts(), 1)]
    return p.page_of(
        f'{p.header()}{p.crumbs()}<div id="content" role="main"><article class="statute"><h1>{p.title}</h1>\n{"".join(parts)}</article></div>\n{p.footer()}',
    )


def homepage(p: _Parts) -> str:
    """Somebody's own page, written by hand."""
    return (
        f"<!doctype html>\n<html>\n<head>\n{p.meta()}<title>{p.title}</title>\n</head>\n<body>\n<h1>{p.title}</h1>\n{p.paragraphs()}\n<hr>\n"
        f'<footer><address>{escape(p.page.author)}, {p.page.date}. <a href="/">{escape(p.words.one("top"))}</a></address></footer>\n</body>\n</html>\n'
    )


def mobile_story(p: _Parts) -> str:
    """A reading application: one div, its paragraphs parted by line breaks."""
    w = p.words
    text = "<br><br>\n".join(p.texts())
    return p.page_of(
        f'<div class="app-bar nav"><a href="app://open">{escape(w.one("menu"))}</a> <a href="/login">{escape(w.one("login"))}</a></div>\n<div class="reader main"><h1 class="chapter-title">{p.title}</h1>\n'
        f'<div class="read-content" id="chaptercontent">{text}</div></div>\n<div class="chapter-nav navigation"><a href="1">{escape(w.one("previous"))}</a> <a href="0">{escape(w.one("contents"))}</a> <a href="2">{escape(w.one("next"))}</a></div>\n{p.footer()}'
    )


TEMPLATES: dict[str, Callable[[_Parts], str]] = {
    "news_article": news_article,
    "blog": blog,
    "wiki": wiki,
    "forum_thread": forum_thread,
    "shop_product": shop_product,
    "recipe_page": recipe_page,
    "documentation": documentation,
    "table_layout": table_layout,
    "official_notice": official_notice,
    "portal": portal,
    "journal": journal,
    "magazine": magazine,
    "gazette": gazette,
    "homepage": homepage,
    "mobile_story": mobile_story,
}

# Which templates a kind of prose is found in; the first are the usual ones.
_USUAL = {
    "news": ("news_article", "portal", "news_article", "blog", "table_layout"),
    "encyclopaedia": ("wiki", "wiki", "documentation", "homepage"),
    "forum": ("forum_thread", "forum_thread", "blog", "mobile_story"),
    "shop": ("shop_product", "shop_product", "blog", "magazine"),
    "recipe": ("recipe_page", "recipe_page", "blog", "table_layout"),
    "law": ("gazette", "official_notice", "gazette", "table_layout"),
    "science": ("journal", "news_article", "journal", "blog"),
    "story": ("mobile_story", "homepage", "blog", "mobile_story"),
    "howto": ("documentation", "blog", "documentation", "table_layout"),
    "travel": ("magazine", "blog", "magazine", "portal"),
    "history": ("wiki", "magazine", "journal", "homepage"),
}


def template_for(kind: str, chance: Chance) -> str:
    """A template's name that suits a kind of prose."""
    return chance.pick(_USUAL.get(kind, ("news_article", "blog", "portal", "table_layout", "homepage")))


def render(template: str, page: Page) -> str:
    """The HTML of a page in a template."""
    return TEMPLATES[template](_Parts(page))


def furniture_only(page: Page, what: str) -> str:
    """A page without an article: an `index` of links, a `login` wall, or a `missing` page that answers 200."""
    p = _Parts(page)
    w = p.words
    if what == "index":
        teasers = "".join(
            f'<li><a href="/r/{p.chance.digits(5)}.html">{escape(title)}</a> <span class="date">{page.date[5:]}</span></li>' for title in page.related * 3
        )
        inside = f'<main><div class="list"><h1>{escape(p.chance.pick(w.many("nav")))}</h1><ul>{teasers}</ul></div></main>\n'
    elif what == "login":
        inside = f'<main><form class="login"><p>{escape(w.one("please_login"))}</p><input name="user"><input name="password" type="password"><button>{escape(w.one("login"))}</button></form></main>\n'
    else:
        inside = f"<main><h1>{escape(w.one('notfound'))}</h1><p>{escape(w.one('sorry'))}</p></main>\n"
    return p.page_of(f"{p.cookies()}{p.header()}{inside}{p.sidebar()}{p.footer()}")


def with_lines(page: Page, lines: Sequence[str]) -> str:
    """An ordinary page whose article is a list of lines: directories, repeated slogans."""
    p = _Parts(page)
    inside = "".join(f"<p>{escape(line, quote=False)}</p>\n" for line in lines)
    return p.page_of(f'{p.header()}<main><article class="article"><h1>{p.title}</h1>\n<div class="article-body">{inside}</div></article></main>\n{p.footer()}')
