"""The card's sections on how a release was made: funnel, stages, shares against the plan, sources and licences."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.publish.facts import Facts
from pipeline.publish.markdown import code, count, plain, share, size, table
from pipeline.publish.sections.words import MOST, Say, asked, by_domain, columns_of, scope, word
from pipeline.schema import ordered
from pipeline.stages import label_of


def funnel(f: Facts, say: Say) -> list[str]:
    domains = f.read_domains
    given = [s for s in f.release.stats["stages"] if f.dropped(s)]
    idle = [s for s in f.release.stats["stages"] if not f.dropped(s)]
    rows = [[say("read", "读入"), *by_domain({d: f.read(d) for d in domains}, domains)]]
    rows += [[f"− {code(s)}", *(count(f.dropped(s, d)) if f.dropped(s, d) else "" for d in domains), count(f.dropped(s))] for s in given]
    for split, name in (("train", say("= training", "= 训练集")), ("validation", say("= validation", "= 验证集"))):
        rows.append([f"**{name}**", *(f"**{n}**" for n in by_domain({d: f.released(split, "documents", d) for d in domains}, domains))])
    out = [
        say(
            f"Documents read, dropped by each stage in order, and kept: {share(f.documents, f.read())} of what was read. A column adds up. "
            "A stage's bounds are in the table below, and each dropped document is a row of `ledger/`.",
            f"读入、各阶段依次剔除以及最终保留的文档数：保留率为 {share(f.documents, f.read())}。每列均可逐项加总核对。"
            "各阶段的界限见下表，每篇被剔除的文档在 `ledger/` 中都有一行记录。",
        ),
        "",
        f"![{say('Documents left after each stage, by domain', '各阶段后剩余的文档数，按领域')}](figures/funnel.svg)",
        "",
        *table([say("stage", "阶段"), *columns_of(domains, say)], rows),
    ]
    if idle:
        out += [say(f"These dropped nothing here: {', '.join(map(code, idle))}.", f"以下阶段在本次构建中未剔除任何文档：{'、'.join(map(code, idle))}。"), ""]
    records = f.release.stats.get("records", {})
    skipped = sorted(records.get("skipped", {}).items(), key=lambda kv: (-kv[1], kv[0]))
    rest = sum(n for _, n in skipped[MOST:])
    kinds = [f"{code(kind)} {count(n)}" for kind, n in skipped[:MOST]] + ([f"{say('others', '其他')} {count(rest)}"] if rest else [])
    out += [
        say(
            f"Records that were no documents: {', '.join(kinds) or 'none'}. Unreadable: {count(records.get('unreadable', 0))}.",
            f"不构成文档的记录：{'、'.join(kinds) or '无'}。无法读取：{count(records.get('unreadable', 0))}。",
        ),
        "",
    ]
    found = f.reasons()
    rows = [[code(stage), code(reason), word(domain), count(n), share(n, f.dropped())] for stage, reason, domain, n in found[:20]]
    out += [f"### {say('Why documents left', '文档为何被剔除')}", ""]
    out += [
        say(
            "A reason is the bound that was broken; `draw` means that a hash of the document's id lay beyond its slice's budget.",
            "原因即被违反的界限；`draw` 表示文档标识的哈希超出了所属部分的配额。",
        ),
        "",
        *table(
            [say("stage", "阶段"), say("what should have held", "应满足的条件"), say("domain", "领域"), say("documents", "文档数"), say("share", "占比")],
            rows,
            3,
        ),
    ]
    if len(found) > 20:
        out += [
            say(f"And {count(len(found) - 20)} rarer ones, in `stats.json`.", f"其余 {count(len(found) - 20)} 种较少见的原因见 `stats.json`。"),
            "",
        ]
    return [*out, *stages(f, say)]


def stages(f: Facts, say: Say) -> list[str]:
    """What every stage asks, folded away: it is long."""
    if not f.stages:
        return []
    rows = [[code(label_of(kind, s)), scope(s), asked(kind, s)] for kind, s in f.stages]
    return [
        f"### {say('What each stage asks', '各阶段的条件')}",
        "",
        "<details>",
        f"<summary>{say(f'{len(rows)} stages in order', f'按顺序共 {len(rows)} 个阶段')}</summary>",
        "",
        *table([say("stage", "阶段"), say("for", "适用范围"), say("settings", "设置")], rows, 3),
        "</details>",
        "",
    ]


def mixture(f: Facts, say: Say) -> list[str]:
    mix = f.release.mixture
    counted = str(mix.get("unit", "tokens"))  # tokens, bytes, or another tokenizer's tokens, such as tokens_gpt2
    other = counted.removeprefix("tokens_")
    unit = {"tokens": say("tokens", "词元"), "bytes": say("bytes", "字节")}.get(counted) or say(f"tokens of {code(other)}", f"{code(other)} 词元")
    column = code({"tokens": "token_count", "bytes": "text_bytes"}.get(counted, f"token_count_{other}") + " × repeats")
    rows = []
    for domain in ordered(mix["domains"]):
        d = mix["domains"][domain]
        rows.append(_slice(word(domain), d, counted, say))
        rows += [_slice(f"{word(domain)} / {word(part)}", p, counted, say) for part, p in (d.get("parts") or {}).items()]
    total = int(mix.get("total", mix.get("total_tokens", 0)))
    whole = mix.get("total_wanted", "max")
    wanted = say("as much as the shares allow", "在占比允许下尽可能多") if whole == "max" else count(int(whole))
    out = [
        say(
            f"The mix holds {count(total)} {unit} with repeats; asked for: {wanted}. Shares are of {column} of the training split. "
            "A slice that binds has no more to give at its highest number of epochs, and so limits the others.",
            f"配比后共 {count(total)} {unit}（含重复使用）；配方要求：{wanted}。占比按训练集的 {column} 计算。标为“受限”的部分在最大轮数下已无更多数据，因而限制了其他部分。",
        ),
        "",
        f"![{say('Shares reached and wanted', '实际占比与计划占比')}](figures/shares.svg)",
        "",
        *table(
            [
                say("slice", "部分"),
                say("wanted", "计划"),
                say("reached", "实际"),
                say("points off", "偏差（百分点）"),
                say(f"{unit} with repeats", f"{unit}（含重复）"),
                say("unique", "去重后"),
                say("unique there were", "可用（去重）"),
                say("documents", "文档数"),
                say("epochs", "轮数"),
                say("at most", "上限"),
            ],
            rows,
        ),
    ]
    settings = {k: v for k, v in f.recipe.get("mix", {}).items() if k in ("sample", "rehydrate", "force") and v}
    if settings:
        out += [say(f"Further settings of the mix: {asked('mix', settings)}.", f"配比的其他设置：{asked('mix', settings)}。"), ""]
    schedule = f.release.store.read_json("schedule.json") if "schedule.json" in f.release.manifest["files"] else {}
    out += _schedule(schedule, say)
    given = mix.get("shortage") or []
    sentences = [*([given] if isinstance(given, str) else given), *(schedule.get("shortage") or [])]
    if sentences:
        out += [say("What fell short of the plan:", "未达到计划之处："), "", *(f"- {say(plain(s), plain(shortage_zh(s)))}" for s in sentences), ""]
    else:
        out += [
            say(
                "No slice lacked documents. A slice ends with the last document that fits its budget as a whole, hence what it is off by.",
                "各部分数据均充足。每一部分止于能完整放入配额的最后一篇文档，偏差由此而来。",
            ),
            "",
        ]
    return out


def _schedule(schedule: Mapping[str, Any], say: Say) -> list[str]:
    rows = []
    for phase in schedule.get("phases", []):
        for part in phase["slices"]:
            how = part["share"]
            rows.append(
                [code(phase["name"]), code(part["name"]), code(how["ramp"]), share(how["from"]), share(how["to"]), share(part["mean"]), count(part["tokens"])]
            )
        rows.append([code(phase["name"]), say("the rest", "其余"), "–", "–", "–", share(phase["rest"]["mean"]), count(phase["rest"]["tokens"])])
    if not rows:
        return []
    header = [say("phase", "阶段"), say("slice", "部分"), say("ramp", "变化"), say("from", "起"), say("to", "止"), say("mean", "平均"), say("tokens", "词元")]
    return [say("A trainer uses them in this order (`schedule.json`):", "训练时按以下顺序使用（`schedule.json`）："), "", *table(header, rows, 3)]


def _slice(name: str, d: Mapping[str, Any], unit: str, say: Say) -> list[str]:
    return [
        name + (say(" (binds)", "（受限）") if d.get("binding") else ""),
        share(d["share_wanted"]),
        share(d["share"]),
        f"{100 * (d['share'] - d['share_wanted']):+.2f}",
        count(int(d[unit])),
        count(int(d.get(f"unique_{unit}", 0))),
        count(int(d.get(f"unique_{unit}_available", 0))),
        count(int(d["documents"])),
        f"{d['epochs']:.2f}",
        f"{d['max_epochs']:g}" if d.get("max_epochs") is not None else "–",
    ]


def shortage_zh(sentence: str) -> str:
    """A shortage sentence of the mix in Chinese; as it is where it has another form."""
    forms = (
        (r"(\S+): wanted ([\d.]+%), had ([\d.]+%) at ([\d.]+) epochs; the rest went to (.+)", r"\1：计划 \2，在 \4 轮之内仅有 \3；其余分给 \5"),
        (r"(\S+): (\S+) is to give ([\d,]+) tokens and has ([\d,]+); it will be repeated", r"\1：\2 应提供 \3 个词元，仅有 \4 个，将重复使用"),
        (r"(\S+): wanted ([\d.]+%), had nothing; the rest went to (.+)", r"\1：计划 \2，但没有数据；其余分给 \3"),
        (
            r"wanted ([\d,]+) tokens, had ([\d,]+) at these shares: (.+) has no more at max_epochs",
            r"计划 \1 个词元，按上述占比仅有 \2 个：\3 在最大轮数下已无更多数据",
        ),
        (
            r"wanted ([\d,]+) (\S+), had ([\d,]+) at these shares: (.+) has no more at max_epochs",
            r"计划 \1（\2），按上述占比仅有 \3：\4 在最大轮数下已无更多数据",
        ),
    )
    for english, chinese in forms:
        if re.fullmatch(english, sentence):
            return re.sub(english, chinese, sentence)
    return sentence


def sources(f: Facts, say: Say) -> list[str]:
    declared = f.recipe.get("sources", {})
    names = sorted({r["source"] for r in f.release.stats["read"]} | set(declared))
    held = f.counted.words.get("source", Counter())
    rows = []
    for name in names:
        about = declared.get(name, {})
        kept = sum(n for (_, source), n in held.items() if source == name)
        tokens = sum(n for (_, source), n in f.counted.tokens.items() if source == name)
        licence = plain(about["licence"]) if about.get("licence") else say("by document", "逐文档")
        rows.append(
            [code(name), word(about.get("reader")), licence, count(f.read(source=name)), size(f.read(source=name, key="bytes")), count(kept), count(tokens)]
        )
    out = table(
        [
            say("source", "数据源"),
            say("reader", "读取器"),
            say("licence, as declared", "声明的许可"),
            say("documents read", "读入文档"),
            say("text read", "读入正文"),
            say("documents here", "发布版文档"),
            say("tokens here", "发布版词元"),
        ],
        rows,
        3,
    )
    out += [
        say(
            "The builder grants no rights in the texts: each stays under its own licence or its author's rights, and the column `licence` says what is known of it. "
            "A page that anybody may read is not a page that anybody may use; a recognised licence is no legal advice.",
            "构建者不授予任何文本权利：每篇文本仍受其自身许可或作者权利约束，`licence` 列记录已知信息。任何人都能阅读的网页，并不等于任何人都能使用；许可识别结果不构成法律意见。",
        ),
        "",
    ]
    found = f.counted.column("licence")
    rows = [[plain(name) if name else say("none known", "未知"), *by_domain(n, f.domains)] for name, n in found[:MOST]]
    if len(found) > MOST:
        rest = sum((n for _, n in found[MOST:]), Counter[str]())
        rows.append([say(f"{len(found) - MOST} others", f"其他 {len(found) - MOST} 种"), *by_domain(rest, f.domains)])
    out += [f"### {say('Licences of the documents', '文档许可')}", "", *table([say("licence", "许可"), *columns_of(f.domains, say)], rows)]
    return [*out, *source_code(f, say)]


def source_code(f: Facts, say: Say) -> list[str]:
    about = f.release.code
    if not about:
        return []
    languages = list(about["languages"].items())
    languages.sort(key=lambda item: (-item[1]["text_bytes"], item[0]))
    asked_ = about.get("asked", {})
    rows = [
        [code(name), count(n["documents"]), size(n["text_bytes"]), share(n["share_of_bytes"]), share(asked_[name]) if name in asked_ else "–"]
        for name, n in languages[:25]
    ]
    if len(languages) > 25:
        rest = [n for _, n in languages[25:]]
        rows.append(
            [
                say(f"{len(rest)} others", f"其他 {len(rest)} 种"),
                count(sum(n["documents"] for n in rest)),
                size(sum(n["text_bytes"] for n in rest)),
                share(sum(n["share_of_bytes"] for n in rest)),
                "–",
            ]
        )
    return [
        f"### {say('Source code', '源代码')}",
        "",
        say(
            "By language, beside the share of the bytes that `downsample` asked for; a language with too little gives what it has. "
            "`ATTRIBUTION.md` names every repository with its licence.",
            "按编程语言统计，并与 `downsample` 要求的字节占比对照；数据不足的语言有多少用多少。`ATTRIBUTION.md` 列出每个仓库及其许可。",
        ),
        "",
        *table([say("language", "语言"), say("files", "文件数"), say("text", "正文"), say("share", "占比"), say("asked", "要求")], rows),
    ]
