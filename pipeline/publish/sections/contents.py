"""The card's sections on what is in a release: language and length, scores, duplicates, the validation split, columns."""

from collections import Counter
from itertools import pairwise

from pipeline.publish.columns import meaning, type_name
from pipeline.publish.facts import SHARES, Facts, Scored
from pipeline.publish.markdown import code, count, share, table
from pipeline.publish.sections.words import MOST, Say, asked, by_domain, columns_of, flagged, word
from pipeline.stages import label_of

_CLUSTERS = ((2, 2), (3, 4), (5, 8), (9, 16), (17, 64), (65, float("inf")))


def distributions(f: Facts, say: Say) -> list[str]:
    out = [
        say(
            "Counted over training and validation rows. Languages are identified by the fastText model lid.176 (Joulin et al. 2016, CC-BY-SA-3.0); source code is not judged.",
            "统计范围为训练集与验证集的全部行。语种由 fastText 模型 lid.176 识别（Joulin 等 2016，CC-BY-SA-3.0）；源代码不作判定。",
        ),
        "",
    ]
    for name, head in (("language", say("language", "语言")), ("script", say("script", "字形"))):
        found = f.counted.column(name)
        rows = [
            [say("not judged", "未判定") if value is None else word(value) if value else say("none", "无"), *by_domain(n, f.domains)]
            for value, n in found[:MOST]
        ]
        if len(found) > MOST:
            rest = sum((n for _, n in found[MOST:]), Counter[str]())
            rows.append([say("others", "其他"), *by_domain(rest, f.domains)])
        if name == "script" and rows:
            out += [say("By the script of Chinese, Hans (simplified) or Hant (traditional):", "按中文字形统计，Hans 为简体，Hant 为繁体："), ""]
        out += table([head, *columns_of(f.domains, say)], rows)
    rows = []
    others = sorted({name for name, _ in f.counted.whole if name.startswith("token_count_")})
    measured = [("token_count", say("tokens", "词元")), *((name, code(name)) for name in others), ("characters", say("characters", "字符"))]
    for name, what in measured:
        for d in f.domains:
            tally = f.counted.whole.get((name, d))
            if tally is not None and tally.rows:
                mean = tally.total / tally.rows
                rows.append(
                    [say(f"{word(d)}, {what}", f"{word(d)}，{what}"), f"{mean:,.0f}", *(count(tally.quantile(q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95, 1))]
                )
    out += [
        f"### {say('Length', '长度')}",
        "",
        f"![{say('Documents by their number of tokens', '按词元数统计的文档分布')}](figures/lengths.svg)",
        "",
        *table([say("per document", "每篇文档"), say("mean", "均值"), "5%", "25%", "50%", "75%", "95%", say("longest", "最长")], rows),
    ]
    return out


def quality(f: Facts, say: Say) -> list[str]:
    if not f.scores:
        return [say("The recipe has no classifiers: nothing was scored.", "配方未使用分类器：未进行任何评分。"), ""]
    models = {name: model for kind, s in f.stages if kind == "score" for name, model in s.get("columns", {}).items()}
    named = [say(f"{code(name)} ({code(str(model))})", f"{code(name)}（{code(str(model))}）") for name, model in models.items()]
    spared = [word(d) for d in f.domains if not any(s.rows for (_, domain), s in f.counted.spreads.items() if domain == d)]
    out = [
        say(
            f"Small classifiers read each text by windows: {', '.join(named)}. Their scores are columns; `classifiers/*/card.md` of the builder says what they get wrong. "
            f"Not judged: {', '.join(spared) or 'nothing'}.",
            f"由小型分类器按窗口阅读每篇文本：{'、'.join(named)}。评分以列的形式给出；其误差见构建工具的 `classifiers/*/card.md`。未评判的领域：{'、'.join(spared) or '无'}。",
        ),
        "",
    ]
    for score in f.scores:
        if score.kind == "grade":
            out += _grade(f, say, score)
    for score in f.scores:
        if score.kind == "choice":
            out += _choice(f, say, score)
    return [*out, *_labels(f, say)]


def _grade(f: Facts, say: Say, score: Scored) -> list[str]:
    spreads = [(d, f.counted.spreads[score.name, d]) for d in f.domains if (score.name, d) in f.counted.spreads]
    spreads = [(d, s) for d, s in spreads if s.rows]
    if not spreads:
        return []
    step = (spreads[0][1].high - spreads[0][1].low) / 5
    edges = [spreads[0][1].low + step * i for i in range(6)]
    header = [f"{a:g}–{b:g}" for a, b in pairwise(edges)]
    rows = [[word(d), count(s.rows), f"{s.mean:.2f}", *(share(int(part.sum()), s.rows) for part in s.bins.reshape(5, -1))] for d, s in spreads]
    return [
        f"### {say('Grades: ', '评分：')}{code(score.name)}",
        "",
        f"![{say('Documents by grade', '按评分统计的文档分布')}](figures/score-{score.name}.svg)",
        "",
        *table([say("domain", "领域"), say("documents", "文档数"), say("mean", "均值"), *header], rows),
    ]


def _choice(f: Facts, say: Say, score: Scored) -> list[str]:
    found = [(value, n) for value, n in f.counted.column(score.name) if value is not None]
    rows = [[code(value), *by_domain(n, f.domains)] for value, n in found[:MOST]]
    if len(found) > MOST:
        rest = sum((n for _, n in found[MOST:]), Counter[str]())
        rows.append([say(f"{len(found) - MOST} others", f"其他 {len(found) - MOST} 类"), *by_domain(rest, f.domains)])
    return [
        f"### {say('Labels: ', '标签：')}{code(score.name)}",
        "",
        f"![{say('Documents by label', '按标签统计的文档数')}](figures/score-{score.name}.svg)",
        "",
        *table([say("label", "标签"), *columns_of(f.domains, say)], rows),
    ]


def _labels(f: Facts, say: Say) -> list[str]:
    found = flagged(f)
    if not found:
        return []
    rows = [[code(s.name), *map(count, rows), count(missing), count(gone)] for s, rows, missing, gone in found]
    edges = [f"{a:g}–{b:g}" for a, b in pairwise(SHARES)]
    return [
        f"### {say('Sensitive content and other flags', '敏感内容及其他标记')}",
        "",
        say(
            "Documents by the share of their windows that a label flags, after the bounds; and how many a bound on that label dropped. What no bound names is a tag only.",
            "按命中窗口比例统计的文档数（过滤之后），以及因该标签的界限被剔除的文档数。未设界限的标签仅作标注。",
        ),
        "",
        f"![{say('Flagged documents kept and dropped', '被标记文档的保留与剔除')}](figures/flags.svg)",
        "",
        *table([say("label", "标签"), "0", *edges, say("not judged", "未评判"), say("dropped", "已剔除")], rows),
    ]


def duplicates(f: Facts, say: Say) -> list[str]:
    rows = []
    for kind, s in f.stages:
        if kind == "deduplicate":
            name = label_of(kind, s)
            given = f.reached.get(name, 0)
            rows.append([code(name), asked(kind, s), count(given), count(f.dropped(name)), share(f.dropped(name), given)])
    if not rows:
        return [say("The recipe has no stage that removes duplicates.", "配方中没有去重阶段。"), ""]
    out = [
        say(
            "Each group of duplicates keeps one document, and the ledger names it beside every copy that left. Near-duplicates are verified by the exact Jaccard similarity of their shingles. "
            f"Too short to compare: {count(f.release.stats.get('too_short_to_compare', 0))}.",
            f"每组重复文档保留一篇，账本在每个被剔除的副本旁注明保留的是哪一篇。近似重复均以词片（shingle）集合的精确 Jaccard 相似度复核。过短而无法比较的文档：{count(f.release.stats.get('too_short_to_compare', 0))}。",
        ),
        "",
        *table([say("stage", "阶段"), say("settings", "设置"), say("documents given", "输入文档"), say("dropped", "剔除"), say("share", "占比")], rows, 2),
    ]
    tallies = {d: f.counted.whole[name, d] for name, d in f.counted.whole if name == "cluster_size"}
    if tallies:
        rows = []
        alone = {d: f.released("train", "documents", d) + f.released("validation", "documents", d) - t.within(2, float("inf")) for d, t in tallies.items()}
        rows.append([say("1, nothing near", "1，无近似文档"), *by_domain(alone, f.domains)])
        for low, high in _CLUSTERS:
            name = str(low) if low == high else f"≥ {low}" if high == float("inf") else f"{low}–{int(high)}"
            sizes = {d: t.within(low, high) for d, t in tallies.items()}
            if sum(sizes.values()):
                rows.append([name, *by_domain(sizes, f.domains)])
        out += [
            say(
                "How many documents stood in the cluster of near-duplicates of which a row is the one that stayed (`cluster_size`):",
                "每行所代表的近似重复簇原有多少文档（`cluster_size`）：",
            ),
            "",
            *table([say("documents in the cluster", "簇内文档数"), *columns_of(f.domains, say)], rows),
        ]
    return out


def validation(f: Facts, say: Say) -> list[str]:
    settings = f.recipe.get("release", {})
    fraction, least = settings.get("validation", 0), settings.get("validation_documents", 0)
    rows = [
        [
            word(d),
            count(f.released("validation", "documents", d)),
            share(f.released("validation", "documents", d), f.released("validation", "documents", d) + f.released("train", "documents", d)),
            count(f.released("validation", "tokens", d)),
        ]
        for d in f.domains
    ]
    return [
        say(
            f"Held out by the hash of a document's cluster, so that near-duplicates are on the same side: a share of {fraction:g} of every domain, and at least {count(least)} documents where that is no more than a tenth of it.",
            f"按文档所属簇的哈希留出，近似重复因此必在同一侧：每个领域留出比例 {fraction:g}，且在不超过该领域十分之一的前提下至少 {count(least)} 篇。",
        ),
        "",
        *table([say("domain", "领域"), say("documents", "文档数"), say("share", "占比"), say("tokens", "词元")], rows),
    ]


def columns(f: Facts, say: Say) -> list[str]:
    rows = [[code(field.name), word(type_name(field.type)), f"{f.filled.get(field.name, 0):.0%}", say(*meaning(field.name, f.scores))] for field in f.schema]
    for folder, about in (
        ("removed", say("a hashed sample of the dropped documents, with reasons", "被剔除文档的哈希抽样，附原因")),
        ("ledger", say("one row per dropped document, never its text", "每篇被剔除的文档一行，不含正文")),
        ("signatures", say("MinHash signatures of all rows", "全部数据行的 MinHash 签名")),
    ):
        if files := f.files(folder):
            names = say(", ", "、").join(map(code, f.schema_of(files[0]).names))
            rows.append(
                [f"`{folder}/`", "–", "–", say(f"{about}: {names}; {count(f.rows_of(folder))} rows", f"{about}：{names}；{count(f.rows_of(folder))} 行")]
            )
    out = [
        say("Filled: the share of the training and validation rows in which the column is not null.", "填充率：训练集与验证集中该列非空的比例。"),
        "",
        *table([say("column", "列"), say("type", "类型"), say("filled", "填充率"), say("meaning", "含义")], rows, 4),
    ]
    if f.files("removed"):
        out += [
            say(
                f"Of the rows of `removed/`, {count(f.removed_without_text)} show no text: what was dropped for opt-out, takedown, licence, personal data, secrets, or sensitive content is named by id and reason alone; copies of other documents, and source code without a known licence, come without their text; in the others addresses, keys and long numbers are replaced.",
                f"`removed/` 中有 {count(f.removed_without_text)} 行不含正文：因退出请求、下架、许可、个人信息、密钥或敏感内容被剔除的文档只列标识与原因；其他文档的副本以及许可不明的源代码不附正文；其余正文中的地址、密钥与长数字已替换。",
            ),
            "",
        ]
    return out
