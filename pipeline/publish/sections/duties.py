"""The card's sections on what is owed to others: personal data, benchmarks, takedown, proof, reproduction, citation."""

import re
import shlex
from pathlib import PurePosixPath

from pipeline.publish.facts import Facts
from pipeline.publish.markdown import code, count, table
from pipeline.publish.sections.words import Say, tokenizer, unscrubbed, word
from pipeline.stages import label_of


def personal(f: Facts, say: Say) -> list[str]:
    ran = any(kind == "scrub" for kind, _ in f.stages)
    left = unscrubbed(f)
    out = []
    if left:
        named = [say(f"{code(source)} ({word(domain)}, {count(n)})", f"{code(source)}（{word(domain)}，{count(n)}）") for source, domain, n in left]
        out += [
            say(
                f"**These texts were not scrubbed** (source, domain, documents): {', '.join(named)}. Names, e-mail addresses, telephone numbers and whatever else stood on the page are still in them.",
                f"**以下文本未经脱敏**（数据源、领域、文档数）：{'、'.join(named)}。页面上的姓名、电子邮件地址、电话号码等信息仍原样保留。",
            ),
            "",
        ]
    if not ran:
        return [*out, say("The recipe has no stage that removes personal data.", "配方中没有去除个人信息的阶段。"), ""]
    counts: dict[str, dict[str, list[int]]] = {}
    for (name, domain, _), p in f.counted.personal.items():
        held = counts.setdefault(name, {}).setdefault(domain, [0, 0, 0])
        for i, n in enumerate((p.documents, p.touched, p.values)):
            held[i] += n
    if not counts:
        return [
            *out,
            say("`scrub` ran on the rest; this release has no counts of what it replaced.", "其余文本已运行 `scrub`；本发布版没有记录其替换数量。"),
            "",
        ]
    rows = [
        [code(name), word(domain), count(n[0]), count(n[1]), count(n[2])]
        for name, by in counts.items()
        for domain, n in sorted(by.items(), key=lambda kv: f.domains.index(kv[0]))
        if n[0]
    ]
    return [
        *out,
        say(
            "Where `scrub` ran, it replaced values by tags such as `<EMAIL>`; what it does not recognise stays.",
            "运行了 `scrub` 的文本中，识别到的内容被替换为 `<EMAIL>` 等标签；未识别到的仍会保留。",
        ),
        "",
        *table(
            [
                say("column", "列"),
                say("domain", "领域"),
                say("documents scrubbed", "已脱敏文档"),
                say("documents with any", "含命中的文档"),
                say("values replaced", "替换数量"),
            ],
            rows,
            2,
        ),
    ]


def contamination(f: Facts, say: Say) -> list[str]:
    ran = [(kind, s) for kind, s in f.stages if kind.startswith("decontaminate")]
    if not ran:
        return [
            say(
                "**Not done.** The recipe has no `decontaminate` stage: no benchmark was looked for, and any may be in the text. Do not report benchmark scores of a model trained on this release without looking for them first.",
                "**未进行。** 配方中没有 `decontaminate` 阶段：未检查任何评测集，正文中可能含有评测题目。使用本发布版训练的模型，在未自行排查之前请勿报告评测分数。",
            ),
            "",
        ]
    names = [PurePosixPath(str(a)).name for _, s in ran for a in ([s["against"]] if isinstance(s.get("against"), str) else s.get("against", []))]
    labels = {label_of(kind, s) for kind, s in ran}
    rows = [[code(reason), word(domain), count(n)] for stage, reason, domain, n in f.reasons() if stage in labels]
    out = [say(f"Looked for: {', '.join(map(code, names)) or '–'}.", f"排查的评测集：{'、'.join(map(code, names)) or '–'}。"), ""]
    if not rows:
        return [*out, say("Nothing was found.", "未发现命中。"), ""]
    return [*out, *table([say("what should have held", "应满足的条件"), say("domain", "领域"), say("documents dropped", "剔除文档数")], rows, 2)]


def takedown(_: Facts, say: Say) -> list[str]:
    return [
        say(
            "Whoever finds their text or their data here may ask for its removal, without giving a reason: write to the publisher, in the discussions of the repository that holds this release, and name the `id`, the `url`, or a whole host. The publisher runs",
            "任何人发现自己的文本或数据出现在此，均可要求移除，无须说明理由：请在存放本发布版的仓库讨论区联系发布者，并给出 `id`、`url` 或整个主机名。发布者执行：",
        ),
        "",
        "```bash",
        "python -m pipeline takedown ID|URL|HOST|FILE…",
        "```",
        "",
        say(
            "which finds the documents and their near-duplicates in every release, by the stored signatures, and writes a tombstone file. The recipe's `release.tombstones:` names that file, and the next version is made without them. "
            "The ledger of that version says that they left, never what they said. A version that was published does not change; whoever holds a copy should delete the ids of the tombstone file from it.",
            "该命令依据已保存的签名，在所有发布版中找出这些文档及其近似重复，并写出一个墓碑（tombstone）文件。配方的 `release.tombstones:` 指向该文件，下一版本便不再包含它们。"
            "新版本的账本只记录其离开，不含其内容。已发布的版本不会改动；持有副本者应按墓碑文件中的 id 自行删除。",
        ),
        "",
    ]


def versions(f: Facts, say: Say) -> list[str]:
    manifest = f.release.manifest
    rows = []
    for stage, engines in sorted(manifest.get("engines", {}).items()):
        listed = [f"{name} {value[:12] if re.fullmatch(r'[0-9a-f]{32,}', str(value)) else value}" for name, value in sorted(engines.items())]
        rows.append([code(stage), ", ".join(map(code, listed))])
    total = len(manifest["files"])
    return [
        say(
            f"`{f.name}@{f.version}` is immutable: another content under the same version is an error. `manifest.json` holds the sha256 of its {count(total)} files, with rows, tokens and a hash of the content that does not depend on the writer.",
            f"`{f.name}@{f.version}` 不可变：同一版本号对应其他内容即为错误。`manifest.json` 记录全部 {count(total)} 个文件的 sha256、行数、词元数，以及与写入程序无关的内容哈希。",
        ),
        "",
        f"- {say('fingerprint: ', '指纹：')}{code(manifest['fingerprint'])}",
        f"- {say('tokenizer: ', '分词器：')}{code(tokenizer(f))}",
        f"- {say('pyarrow: ', 'pyarrow：')}{code(manifest.get('pyarrow'))}",
        "",
        say("Counted anew from the files alone:", "仅凭文件即可重新核对："),
        "",
        "```bash",
        f"python -m pipeline verify {f.name}@{f.version}",
        "```",
        "",
        *table([say("stage", "阶段"), say("engines, and models by the first 12 digits of their hash", "引擎版本，以及模型哈希的前 12 位")], rows, 2),
    ]


def reproduce(f: Facts, say: Say) -> list[str]:
    inputs = []
    for name, source in f.recipe.get("sources", {}).items():
        files = source.get("files", [])
        globs = ",".join(f"INPUTS/{g}" for g in ([files] if isinstance(files, str) else files))
        inputs.append(f"    --input {shlex.quote(''.join(c for c in f'{name}={globs}' if c.isprintable()))}")
    return [
        say(
            "`recipe.json` is the resolved recipe, and runs as it is; the folders of its inputs are no part of it, so name your own:",
            "`recipe.json` 是解析后的完整配方，可直接运行；输入所在目录不属于配方，请自行指定：",
        ),
        "",
        "```bash",
        "pip install skypile-builder",
        " \\\n".join([f"python -m pipeline run {f.name}@{f.version}/recipe.json", *inputs]),
        "```",
        "",
        say(
            "The same inputs and the versions above give the same files by sha256, whatever the number of cores. A model or a list that the recipe names by a path has to be there too.",
            "输入相同、版本如上，则无论使用多少核，所得文件的 sha256 都相同。配方以路径引用的模型或名单也须一并提供。",
        ),
        "",
    ]


def citation(f: Facts, creator: str | None, repo: str | None) -> list[str]:
    return ["```bibtex", *bibtex(f, creator, repo).splitlines(), "```", ""]


def bibtex(f: Facts, creator: str | None, repo: str | None) -> str:
    """The release as one cites it. No year: a release knows no clock."""
    key = re.sub(r"[^a-z0-9]+", "_", f"{f.name}_{f.version}".lower()).strip("_")
    lines = [
        f"@misc{{{key},",
        f"  title = {{{f.name} {f.version}: a pretraining corpus made by the SkyPile builder}},",
        *([f"  author = {{{_tex(creator)}}},"] if creator else []),
        *([f"  howpublished = {{\\url{{https://huggingface.co/datasets/{repo}}}}},"] if repo else []),
        f"  note = {{version {f.version}, fingerprint {f.release.manifest['fingerprint']}}}",
        "}",
    ]
    return "\n".join(lines)


def _tex(words: str) -> str:
    return "".join(c for c in words if c.isprintable() and c not in "{}\\`")
