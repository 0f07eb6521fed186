"""The card's sections on what a release is: summary, uses, loading, known limits."""

from pipeline.publish.facts import Facts
from pipeline.publish.markdown import code, count, plain, size, table
from pipeline.publish.sections.words import SMALL, Say, by_domain, columns_of, listed, tokenizer, unscrubbed, word, word_in_code


def summary(f: Facts, say: Say) -> list[str]:
    names = {"en": say("English", "英文"), "zh": say("Chinese", "中文"), "code": say("source code", "源代码")}
    held = listed([names.get(d, word(d)) for d in f.domains], say)
    tokens = f.released("train", "tokens")
    out = [
        say(
            f"A pretraining corpus of {held}: {count(f.documents)} documents, {count(tokens)} training tokens under {code(tokenizer(f))}, made by the SkyPile builder. "
            "Every number on this page is counted from the release's own files.",
            f"预训练语料，包含{held}：共 {count(f.documents)} 篇文档，训练集 {count(tokens)} 个词元（分词器 {code(tokenizer(f))}），由 SkyPile builder 构建。"
            "本页所有数字均由发布版自身的文件统计得出。",
        ),
        "",
    ]
    if tokens < SMALL:
        out += [
            say(
                "> **This release is a sample.** It shows what the pipeline does; it is far too small to train a model on.",
                "> **本发布版仅为样例。** 用于展示流水线的产出，规模远不足以训练模型。",
            ),
            "",
        ]
    rows = []
    for split, name in (("train", say("training documents", "训练集文档")), ("validation", say("validation documents", "验证集文档"))):
        rows.append([name, *by_domain({d: f.released(split, "documents", d) for d in f.domains}, f.domains)])
    rows.append([say("training tokens", "训练集词元"), *by_domain({d: f.released("train", "tokens", d) for d in f.domains}, f.domains)])
    repeated = {d: f.released("train", "tokens_with_repeats", d) for d in f.domains}
    rows.append([say("the same, with repeats", "同上，含重复使用"), *by_domain(repeated, f.domains)])
    bytes_ = [f.released("train", "text_bytes", d) for d in f.domains]
    rows.append([say("training text", "训练集正文大小"), *map(size, bytes_), size(sum(bytes_))])
    if f.counted.last:
        spans = [(f.counted.first.get(d), f.counted.last.get(d)) for d in f.domains] + [(f.counted.oldest(), f.counted.newest())]
        rows.append([say("dates", "日期范围"), *(("–" if not a else a if a == b else f"{a} … {b}") for a, b in spans)])
    out += table(["", *columns_of(f.domains, say)], rows)
    if policy := f.recipe.get("policy"):
        out += [say("The recipe states this policy:", "配方声明的处理原则（原文）："), "", f"> {plain(policy)}", ""]
    return out


def uses(f: Facts, say: Say) -> list[str]:
    out = [
        f"### {say('Meant for', '适用')}",
        "",
        say("- pretraining and continued pretraining of language models on the slices above;", "- 在上述领域上对语言模型进行预训练或继续预训练；"),
        say(
            "- research on curation: the ledger says of every dropped document which bound it broke, and the scores stand beside the text.",
            "- 数据治理研究：账本（ledger）逐篇记录被剔除的文档违反了哪条界限，各项评分与正文并列。",
        ),
        "",
        f"### {say('Not meant for', '不适用')}",
        "",
        say("- looking people up, or deciding anything about a person;", "- 检索个人信息，或据此对任何个人作出决定；"),
        say("- facts: nothing in a text was checked for truth;", "- 事实依据：未核实任何文本内容的真实性；"),
        *(
            [
                say(
                    "- being passed on, before personal data was removed from the texts that were not scrubbed (see below);",
                    "- 对外分发：须先去除未脱敏文本中的个人信息（见下文）；",
                )
            ]
            if unscrubbed(f)
            else []
        ),
        say("- evaluation: it is training data, and benchmarks may be in it (see below).", "- 评测：本语料是训练数据，可能含有评测题目（见下文）。"),
        "",
    ]
    return out


def loading(f: Facts, say: Say, repo: str | None) -> list[str]:
    place = repo or f"{f.name}@{f.version}"
    first = word_in_code(f.domains[-1] if "zh" not in f.domains else "zh") if f.domains else "default"
    held = f.files("validation")
    configs = say(
        f"Configurations: `default` (everything){''.join(f', {code(d)}' for d in f.domains)}{', `removed` (a sample of what was dropped, with reasons)' if f.files('removed') else ''}; "
        + ("each domain has the splits `train` and `validation`." if held else "there is no validation split."),
        f"配置：`default`（全部）{''.join(f'、{code(d)}' for d in f.domains)}{'、`removed`（被剔除文档的抽样及原因）' if f.files('removed') else ''}；{'每个领域均有 `train` 与 `validation` 两个划分。' if held else '没有验证集划分。'}",
    )
    return [
        "```python",
        "from datasets import load_dataset",
        "",
        f'documents = load_dataset("{place}", split="train", streaming=True)',
        *([f'held_out = load_dataset("{place}", "{first}", split="validation")'] if f.files(f"validation/{first}") else []),
        "```",
        "",
        configs,
        "",
        say("Or without `datasets`, from a local copy:", "不用 `datasets` 时，直接读取本地副本："),
        "",
        "```python",
        f'polars.scan_parquet("{f.name}@{f.version}/data/*/*.parquet")',
        f"duckdb.sql(\"select domain, count(*) from '{f.name}@{f.version}/data/*/*.parquet' group by all\")",
        f'pyarrow.dataset.dataset("{f.name}@{f.version}/data").to_table(columns=["id", "token_count"])',
        f'pipeline.open_release("{f.name}@{f.version}").documents("{first}")',
        "```",
        "",
        say(
            "Rows are unique and shuffled. `repeats` says how often a training schedule is to use a row: count `token_count * repeats`, not rows.",
            "各行互不重复且已打乱。`repeats` 表示训练时使用该行的次数：占比应按 `token_count * repeats` 计算，而非行数。",
        ),
        "",
    ]


def limits(f: Facts, say: Say) -> list[str]:
    """What a user should know before using it: from what the recipe lacks, then what holds always."""
    kinds = {kind for kind, _ in f.stages}
    out = []
    if f.released("train", "tokens") < SMALL:
        out.append(say("It is a sample: no statistic of it carries over to a corpus of useful size.", "本发布版是样例：其统计结果不能外推到实用规模的语料。"))
    if unscrubbed(f):
        out.append(say("Personal data stands in the texts that were not scrubbed.", "未脱敏的文本中仍有个人信息。"))
    if not any(k.startswith("decontaminate") for k in kinds):
        out.append(say("Benchmarks were not looked for.", "未排查评测集污染。"))
    bounded = {name for kind, s in f.stages if kind == "filter" for name in s.get("bounds", {})}
    labels = [s for s in f.scores if s.kind == "label"]
    if not any(s.name in bounded for s in labels):
        out.append(say("Nothing was dropped for adult, abusive or violent content.", "未因色情、辱骂或暴力内容剔除任何文档。"))
    elif tags := [s.name for s in labels if s.name not in bounded]:
        out.append(say(f"Tagged, and not dropped: {', '.join(map(code, tags))}.", f"仅标注而不剔除：{'、'.join(map(code, tags))}。"))
    if labels:
        out.append(
            say(
                "The classifiers are small and set to spare clean text: they miss much of what they look for, above all what is put politely.",
                "分类器规模小，阈值以不误伤正常文本为先：会漏掉相当一部分目标内容，尤其是措辞委婉的内容。",
            )
        )
    if any(s.kind == "grade" for s in f.scores):
        out.append(
            say(
                "A quality grade prefers expository prose; dialogue, poetry and colloquial text score lower without being worse.",
                "质量评分偏好说明性文体；对话、诗歌和口语文本得分较低，并不意味着质量更差。",
            )
        )
    if "code" in f.domains and "opt_out" not in kinds:
        out.append(say("No list of opted-out repositories was given to the recipe.", "配方未提供仓库退出名单。"))
    unclear = [name for name, s in f.recipe.get("sources", {}).items() if s.get("reader") in ("warc", "wet") and f.read(source=name)]
    if unclear:
        out.append(
            say(
                f"The licence of most web pages is unknown ({', '.join(map(code, unclear))}).",
                f"大多数网页的许可未知（{'、'.join(map(code, unclear))}）。",
            )
        )
    few = [d for d in f.domains if f.released("validation", "documents", d) < 1000]
    if few:
        out.append(
            say(
                f"Fewer than 1,000 validation documents: {', '.join(map(word, few))}. A loss on them is noisy.",
                f"验证集不足 1,000 篇的领域：{'、'.join(map(word, few))}。在其上测得的损失噪声较大。",
            )
        )
    near = [s for kind, s in f.stages if kind == "deduplicate" and s.get("by") == "minhash"]
    if near:
        out.append(
            say(
                f"Documents that are alike below a Jaccard similarity of {near[0].get('threshold', 0.8):g} stay side by side, and so do passages that recur in otherwise different pages.",
                f"Jaccard 相似度低于 {near[0].get('threshold', 0.8):g} 的相近文档会同时保留，不同页面中反复出现的段落也是如此。",
            )
        )
    elif not any(kind == "deduplicate" for kind in kinds):
        out.append(say("Duplicates were not removed.", "未去除重复文档。"))
    out += [
        say("Text written by machines is not told from text written by people.", "未区分机器生成文本与人工撰写文本。"),
        say(
            "Language identification is weakest on short and mixed texts; Cantonese counts as Chinese.", "语种识别在短文本和混合语言文本上最弱；粤语计入中文。"
        ),
        say(
            "A crawl over-represents who publishes much and links well; dialects, minorities and older speakers are under-represented.",
            "网络抓取会过度代表发布量大、链接多的群体；方言、少数群体和年长者代表不足。",
        ),
    ]
    return [*(f"- {line}" for line in out), ""]
