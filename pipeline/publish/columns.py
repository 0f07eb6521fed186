"""What every column of a release means, in English and Chinese: for the card's table and for Croissant's fields."""

import pyarrow as pa

from pipeline.publish.facts import Scored

MEANINGS: dict[str, tuple[str, str]] = {
    "id": (
        "32 hex digits, unique in the release and stable across versions; a takedown request, a ledger row and a row find each other by it",
        "32 位十六进制，发布版内唯一，跨版本稳定；下架请求、账本行与数据行据此互相对应",
    ),
    "text": ("the document's text, UTF-8", "文档正文，UTF-8"),
    "url": ("where the document was found", "文档来源地址"),
    "source": ("the recipe's word for the source", "配方中的数据源名称"),
    "licence": (
        "the licence as the source declares it, or as it was found in the repository (SPDX id)",
        "数据源声明的许可，或在代码仓库中识别到的许可（SPDX 标识）",
    ),
    "date": ("of the crawl, the post or the commit, ISO 8601", "抓取、发表或提交的日期，ISO 8601"),
    "domain": ("the slice of the mix that the document belongs to, and its folder", "文档所属的配比领域，也是所在目录"),
    "subdomain": ("a finer slice: web, books, social …", "更细的切分：web、books、social 等"),
    "programming_language": ("of source code, on GitHub Linguist's names", "源代码的编程语言，采用 GitHub Linguist 的名称"),
    "repository": ("of source code: the repository", "源代码所在仓库"),
    "path": ("of source code: the path in the repository", "源代码在仓库中的路径"),
    "stars": ("of the repository, where the source says it", "仓库星标数（数据源提供时）"),
    "repository_files": ("files in the repository at its commit, before any filter", "该提交下仓库的文件总数（过滤前）"),
    "licence_file": ("where the licence was found in the repository", "许可在仓库中的出处"),
    "licence_confidence": ("1 where an SPDX id is written, else the likeness to the licence's text", "写明 SPDX 标识时为 1，否则为与许可文本的相似度"),
    "language": ("the likeliest language (fastText lid.176)", "最可能的语言（fastText lid.176）"),
    "language_score": ("its probability", "该语言的概率"),
    "script": ("of Chinese text: Hans, Hant or mixed", "中文文本的字形：Hans、Hant 或混合"),
    "pii_email": ("e-mail addresses that `scrub` replaced; null where no scrub ran", "`scrub` 替换的电子邮件地址数；未运行脱敏时为空"),
    "pii_ip_address": ("IP addresses that `scrub` replaced", "`scrub` 替换的 IP 地址数"),
    "pii_key": ("keys and tokens of access that `scrub` replaced", "`scrub` 替换的密钥与访问令牌数"),
    "pii_password": ("passwords that `scrub` replaced", "`scrub` 替换的密码数"),
    "cluster": ("the cluster of near-duplicates that the document was kept of", "文档所代表的近似重复簇"),
    "cluster_size": ("documents in that cluster before deduplication; null where nothing was near", "去重前该簇的文档数；无近似文档时为空"),
    "characters": ("Unicode characters of the text", "正文的 Unicode 字符数"),
    "text_bytes": ("UTF-8 bytes of the text", "正文的 UTF-8 字节数"),
    "token_count": ("tokens of the text under the release's tokenizer, without special ones", "按本发布版分词器计算的词元数，不含特殊词元"),
    "repeats": ("how often a training schedule uses the row; 0 in the validation split", "训练时使用该行的次数；验证集为 0"),
    "filter_trace": (
        "the first 12 digits of the recipe's fingerprint, then the stages that judged the row and let it pass",
        "配方指纹的前 12 位，其后是评判并放行该行的各阶段",
    ),
    # removed/ and ledger/
    "file": ("the input file in which the document stood", "文档所在的输入文件"),
    "offset": ("where in that file", "在该文件中的位置"),
    "stage": ("the stage that dropped the document", "剔除该文档的阶段"),
    "reason": ("the bound that it broke, as the recipe states it", "文档违反的界限，与配方写法一致"),
    "value": ("the value that broke it", "违反界限的数值"),
    "other": ("of a duplicate: the document that stayed in its place", "对重复文档：被保留的那一篇"),
    "signature": ("112 MinHash values, uint32 little-endian; null for texts too short to compare", "112 个 MinHash 值，uint32 小端序；文本过短时为空"),
}


def meaning(name: str, scores: list[Scored]) -> tuple[str, str]:
    """What a column means, in English and Chinese."""
    if name in MEANINGS:
        return MEANINGS[name]
    if name.startswith("token_count_"):
        return "tokens of the text under another tokenizer, which the column is named after", "按另一分词器（见列名）计算的词元数"
    found = {s.name: s for s in scores}
    if name in found:
        return {
            "grade": ("a classifier's mean grade over the text's windows, 0 to 5", "分类器对文本各窗口评分的均值，0 到 5"),
            "choice": ("the label that a classifier finds likeliest", "分类器给出的最可能标签"),
            "label": ("the share of the text's windows in which a classifier finds this label", "分类器在文本各窗口中命中该标签的比例"),
        }[found[name].kind]
    for end, words in {
        "_mean": ("the mean probability of that label over the text's windows", "该标签在文本各窗口上的平均概率"),
        "_score": ("the mean probability of that label", "该标签的平均概率"),
        "_bucket": ("the grade as tail, middle or head", "评分所属档位：tail、middle 或 head"),
        "_model": ("which of the classifier's networks judged: fasttext, bert, or both", "由分类器的哪个网络判定：fasttext、bert 或两者"),
    }.items():
        if name.endswith(end):
            return words
    return "a column of the recipe's own", "配方自定义的列"


def type_name(kind: pa.DataType) -> str:
    """A column's type in one word."""
    return "binary" if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) else str(kind)
