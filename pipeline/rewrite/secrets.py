"""Keys, passwords, people's addresses and public IPs in source code, and their replacement by tags.

Three kinds of evidence: the form of a provider's key (`ghp_…`, `AKIA…`, a private key's armour, a JSON web token); a name that says so beside a value
that looks random (`api_key = "…"`); the place (`postgres://user:…@host`). A value goes through gates: no placeholder, no reference to a variable, no
checksum, no word. After BigCode's rules (StarCoder 2023, section 4.3), whose detect-secrets reads 0.04 MB/s with all detectors on.
The text between is never touched. Private and documentation addresses, well-known DNS servers and version numbers are no IPs of a person.
"""

import ipaddress
import math
import platform
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VERSION = 1
ENGINES = {"pyarrow": version("pyarrow"), "python": platform.python_version()}  # whose `ipaddress` says what is public

Kind = Literal["KEY", "PASSWORD", "EMAIL", "IP"]
TAGS: dict[Kind, str] = {"KEY": "<KEY>", "PASSWORD": "<PASSWORD>", "EMAIL": "<EMAIL>", "IP": "<IP_ADDRESS>"}
COLUMNS: dict[Kind, str] = {"KEY": "pii_key", "PASSWORD": "pii_password", "EMAIL": "pii_email", "IP": "pii_ip_address"}


@dataclass(frozen=True, order=True)
class Span:
    """Characters start to end of a text, and what they are."""

    start: int
    end: int
    kind: Kind


_B = r"(?<![A-Za-z0-9_])"  # \b is no use beside Han characters, which are \w
_E = r"(?![A-Za-z0-9_])"
# Forms that are a key wherever they stand. Sources: the providers' own documentation of their formats.
_FORMS = re.compile(
    "|".join(
        (
            _B + r"(?:AKIA|ASIA|AROA|AIDA)[A-Z2-7]{16}" + _E,  # AWS
            _B + r"gh[pousr]_[A-Za-z0-9]{36,}" + _E, _B + r"github_pat_[A-Za-z0-9_]{50,}" + _E, _B + r"gl(?:pat|dt|ptt|rt|oas|soat)-[A-Za-z0-9_-]{20,}",  # GitHub, GitLab
            _B + r"xox[abeoprs]-[A-Za-z0-9-]{20,}", _B + r"xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{40,}", r"(?<=hooks\.slack\.com/services/)T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}",  # Slack
            _B + r"[rs]k_live_[A-Za-z0-9]{16,}" + _E, _B + r"whsec_[A-Za-z0-9+/=]{24,}", _B + r"sk-(?:proj-|svcacct-|admin-|ant-(?:api\d\d-)?)?[A-Za-z0-9_-]{20,}" + _E,  # Stripe, OpenAI, Anthropic
            _B + r"AC[a-f0-9]{32}" + _E, _B + r"SK[a-f0-9]{32}" + _E, _B + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}", _B + r"[a-f0-9]{32}-us\d{1,2}" + _E,  # Twilio, SendGrid, Mailchimp
            _B + r"npm_[A-Za-z0-9]{36}" + _E, r"(?<=_authToken=)[A-Za-z0-9._-]{20,}", _B + r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,}", _B + r"pypi-[A-Za-z0-9_-]{60,}",  # registries
            _B + r"AIza[A-Za-z0-9_-]{35}" + _E, _B + r"ya29\.[A-Za-z0-9_-]{20,}", _B + r"GOCSPX-[A-Za-z0-9_-]{28}" + _E,  # Google
            r"(?<=AccountKey=)[A-Za-z0-9+/]{60,}={0,2}", r"(?<=SharedAccessKey=)[A-Za-z0-9+/]{30,}={0,2}", r"(?<=[?&]sig=)[A-Za-z0-9%+/]{30,}(?:%3D|=)*",  # Azure
            _B + r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",  # JSON web tokens
            r"(?<=discord\.com/api/webhooks/)\d{15,}/[A-Za-z0-9_-]{50,}", r"(?<=discordapp\.com/api/webhooks/)\d{15,}/[A-Za-z0-9_-]{50,}",
            _B + r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}" + _E,  # Discord bots
            _B + r"\d{8,10}:AA[A-Za-z0-9_-]{32,34}" + _E,  # Telegram
            _B + r"sk\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{15,}", _B + r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}" + _E, _B + r"do[opr]_v1_[a-f0-9]{64}" + _E, _B + r"hf_[A-Za-z]{30,}" + _E,  # Mapbox, Shopify, DigitalOcean, Hugging Face
            _B + r"hf_[A-Za-z0-9]{30,}" + _E, _B + r"LTAI[A-Za-z0-9]{12,24}" + _E, _B + r"AKID[A-Za-z0-9]{32}" + _E, _B + r"sq0[a-z]{3}-[A-Za-z0-9_-]{22,}", _B + r"EAAA[A-Za-z0-9_-]{60}" + _E,  # Alibaba, Tencent, Square
            _B + r"dckr_pat_[A-Za-z0-9_-]{27}" + _E, _B + r"lin_api_[A-Za-z0-9]{40}" + _E, _B + r"NRAK-[A-Z0-9]{27}" + _E, _B + r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}" + _E, _B + r"hv[sb]\.[A-Za-z0-9_-]{24,}",
            _B + r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}" + _E, _B + r"key-[a-f0-9]{32}" + _E, _B + r"AGE-SECRET-KEY-1[A-Z0-9]{58}" + _E, _B + r"ATATT3[A-Za-z0-9_=-]{60,}", _B + r"sntrys_[A-Za-z0-9_=+/]{40,}",
            r"(?<=[Aa]uthorization: Basic )[A-Za-z0-9+/]{12,}={0,2}", r"(?<=\"auth\": \")[A-Za-z0-9+/]{12,}={0,2}(?=\")",
        )
    )
)  # fmt: skip
_ARMOUR = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?!-----BEGIN).)*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----", re.DOTALL
)
_URL = re.compile(r"(?<![A-Za-z0-9])[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^\s:/@\"'`<>{}$]{0,60}:([^\s@\"'`<>{}$/]{3,80})@[\w.\[-]")
_PASSWORD_NAME = r"(?:pass(?:w(?:or)?d|phrase|code)?|pwd|passwd|口令|密码|密碼)"
_KEY_NAME = r"(?:api[_-]?key|apikey|secret(?:[_-]?(?:key|access[_-]?key|id|token))?|access[_-]?key(?:[_-]?(?:id|secret))?|auth[_-]?(?:token|key)|token|private[_-]?key|client[_-]?secret|app[_-]?(?:secret|key)|encryption[_-]?key|signing[_-]?key|master[_-]?key|session[_-]?secret|webhook[_-]?secret|credential|bearer|consumer[_-]?(?:key|secret)|salt|account[_-]?key|license[_-]?key)"
_NAMED = re.compile(
    r"(?P<name>(?<![A-Za-z0-9])[\w.$-]{0,40}?(?:(?P<password>" + _PASSWORD_NAME + r")|(?P<key>" + _KEY_NAME + r"))[\w-]{0,20})"
    r"[\"'\])}]{0,3}(?:\s*:\s*[\w.<>\[\]?]{1,30})?(?:[ \t]*(?:=>|:=|==?|:)[ \t]*|[ \t]+(?=[\"'])|(?:\"|')?\s*,\s*(?=[\"'])|[ \t]*>[ \t]*(?=[^\s<>]{6,}</))"
    r"(?:[brfuBRFU]{0,2}(?P<quote>[\"'`])(?P<quoted>(?:(?!(?P=quote))[^\\\n]|\\.){4,400})(?P=quote)|(?P<bare>[^\s\"'`<>(){}\[\],;]{6,200}))",
    re.IGNORECASE,
)
_FLAG = re.compile(r"(?<![\w-])(?:--?(?:password|passwd|pass|token|api-key|secret)(?:=|[ \t]+)|-p)(?P<q>['\"]?)(?P<value>[^\s'\"<>{}$(]{6,80})(?P=q)")
_HEADER = re.compile(
    r"(?:(?:x-)?api-key|x-auth-token|authorization|private-token)[\"']?\s*[:=,]\s*[\"']?(?:bearer |token |basic )?(?P<value>[A-Za-z0-9+/_=.-]{16,200})",
    re.IGNORECASE,
)

# Values that stand for something else.
_PLACEHOLDER = re.compile(
    r"your|my[-_]?(?:secret|token|key|pass)|example|sample|dummy|fake|placeholder|change[-_]?(?:me|it)|insert|replace|redacted|todo|xxx|\*\*\*|\.\.\.|…|<[^>]*>|\$\{|\$\(|\{\{|%\(|%s|\{\w*\}"
    r"|process\.env|os\.environ|getenv|env\[|env\(|ENV\b|secrets\.|vault|config\.|settings\.|undefined|null\b|none\b|true\b|false\b|password|passwd|passphrase|secret|token|credential|^test|test$|testing"
    r"|foobar|foo|hello|qwerty|letmein|default|abc123|123456|abcdef|deadbeef|0123456|aaaa|0000|1111|hunter2|correct.?horse|lorem|unknown|string|value|required|optional|invalid|missing|enter|forgot|please",
    re.IGNORECASE,
)
_CHECKSUM = re.compile(
    r"sha-?\d|md5|checksum|integrity|digest|fingerprint|\bhash(?:es|ed)?\b|commit|\brev(?:ision)?\b|etag|nonce|uuid|guid|\bh1:|public[_-]?key|certificate|bcrypt|\$2[aby]\$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+\Z")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+/@-])[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9@_/-]|\.[A-Za-z0-9]|:[A-Za-z0-9_~/])"
)
_NO_PERSON = re.compile(
    r"^(?:no-?reply|do-?not-?reply|user|username|name|me|you|someone|somebody|foo|bar|test|tester|your\.?(?:name|email)|email|mail|example|git|hg|svn|root|admin|nobody|jane|john|john\.?doe|jane\.?doe|alice|bob|a|b|x|info|support|security|contact|help|sales|abuse|postmaster|webmaster|hostmaster|dev|team|bugs?|hello|office|press|jobs)@"
    r"|@(?:[\w-]+\.)*(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost|local|localdomain|domain\.(?:com|tld)|email\.com|company\.com|yourdomain\.\w+|mysite\.\w+|users\.noreply\.github\.com|foo\.com|bar\.com|acme\.\w+|corp|internal|home\.arpa)\Z"
    r"|\.(?:png|jpe?g|gif|svg|webp|ico|css|js|ts|rb|go|java|html?|json|ya?ml|toml|txt|git|jar|dll|exe|zip|whl|service|timer|socket|target|mount|conf|cfg|lock|map|min|vue|tsx|jsx|scss|less|woff2?|ttf|h|c|cpp|swift|kt|proto|sql|xml|lan|prod|staging)\Z",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"^(?:[\w.+-]*[-.])?(?:list|lists|group|groups|users|devel|announce|discuss)@|^[\w.+-]+-(?:dev|bugs?|help|request|owner)@|@(?:lists?|googlegroups|groups)\.",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![A-Za-z0-9_.@/^~=<>-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![A-Za-z0-9_.]*\.\d|[A-Za-z0-9_-])")
_IPV4_AFTER = re.compile(r"(?<=[/@=])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![A-Za-z0-9_-]|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,6}(?![\w:.])|(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){1,6}:(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4})*)?(?![\w:])"
)
_VERSION = re.compile(r"version|release|\bver\b|\bv\.?$|build|assembly|firmware|oid\b|snmp|section|chapter|clause|§|第|章|节|節|==|>=|<=|~=|\^", re.IGNORECASE)
_DNS = frozenset(
    [
        "8.8.8.8",
        "8.8.4.4",
        "1.1.1.1",
        "1.0.0.1",
        "9.9.9.9",
        "149.112.112.112",
        "208.67.222.222",
        "208.67.220.220",
        "114.114.114.114",
        "114.114.115.115",
        "223.5.5.5",
        "223.6.6.6",
        "119.29.29.29",
        "180.76.76.76",
        "4.2.2.1",
        "4.2.2.2",
        "77.88.8.8",
    ]
)


def find(text: str) -> list[Span]:
    """The spans of a text that are to be replaced, in order, none within another."""
    return find_batch(pa.array([text], pa.string()))[0]


def find_batch(texts: pa.Array) -> list[list[Span]]:
    """`find` of every text. RE2 says which lines each kind of evidence may stand on, at some 300 MB/s; the patterns read these lines alone."""
    found: list[list[Span]] = [[] for _ in range(len(texts))]
    lists = pc.split_pattern(texts, pattern="\n")
    lines = lists.flatten()
    owner = np.repeat(np.arange(len(texts)), np.diff(lists.offsets.to_numpy()))
    asked = [(look, np.asarray(pc.match_substring_regex(lines, pattern=maybe).to_numpy(zero_copy_only=False), bool)) for maybe, look in _LOOKS]
    hits = np.flatnonzero(np.any([mask for _, mask in asked], axis=0)) if len(lines) else np.zeros(0, np.int64)
    armoured = pc.match_substring(texts, "PRIVATE KEY").to_numpy(zero_copy_only=False)
    if not hits.size and not armoured.any():
        return found
    sizes = pc.utf8_length(lines).to_numpy() + 1
    starts = np.cumsum(sizes) - sizes
    first = lists.offsets.to_numpy()
    for at in hits:
        text, line = owner[at], lines[at].as_py()
        here = int(starts[at] - starts[first[text]])
        for look, mask in asked:
            if mask[at]:
                found[text] += [Span(here + span.start, here + span.end, span.kind) for span in look(line)]
    for i in np.flatnonzero(armoured):
        found[i] += [Span(m.start(), m.end(), "KEY") for m in _ARMOUR.finditer(texts[i].as_py()) if re.search(r"[A-Za-z0-9+/=\s\\]{60}", m.group()[30:-25])]
    return [_apart(spans) for spans in found]


def _forms(line: str) -> list[Span]:
    return [Span(m.start(), m.end(), "KEY") for m in _FORMS.finditer(line) if not _PLACEHOLDER_KEY.search(m.group()) and _mixed(m.group())]


def _urls(line: str) -> list[Span]:
    return [Span(m.start(1), m.end(1), "PASSWORD") for m in _URL.finditer(line) if not _stands_for(m.group(1), password=True)]


_LONG_LINE = 2000  # of which `_NAMED` reads some 0.1 MB/s; what is longer is data or minified, and goes by the bounds on lines


def _names(line: str) -> list[Span]:
    if len(line) > _LONG_LINE:
        return []
    found = [span for match in _NAMED.finditer(line) for span in _named(line, match)]
    for match in _FLAG.finditer(line):
        value = match.group("value")
        if not _stands_for(value, password=True) and _password_like(value, quoted=bool(match.group("q"))):
            found.append(Span(match.start("value"), match.end("value"), "PASSWORD"))
    for match in _HEADER.finditer(line):
        value = match.group("value")
        if not _stands_for(value) and _random(value):
            found.append(Span(match.start("value"), match.end("value"), "KEY"))
    return found


def _people(line: str) -> list[Span]:
    return [Span(m.start(), m.end(), "EMAIL") for m in _EMAIL.finditer(line) if not _NO_PERSON.search(m.group()) and not _LIST.search(m.group())]


_PLACEHOLDER_KEY = re.compile(r"EXAMPLE|XXXX|xxxx|0123456789|1234567890|abcdefgh|ABCDEFGH|(.)\1{7}|\.\.\.|your|YOUR", 0)


def _mixed(value: str) -> bool:
    """Whether a key's form is filled with more than one kind of character or a varied one."""
    return len(set(value)) >= 8


def _named(line: str, match: re.Match[str]) -> list[Span]:
    """What stands beside a name that says key or password."""
    group = "quoted" if match.group("quoted") is not None else "bare"
    value = match.group(group)
    start, end = match.span(group)
    name = match.group("name")
    if name.lower().endswith(
        (
            "_file",
            "_path",
            "path",
            "file",
            "_url",
            "url",
            "field",
            "name",
            "label",
            "type",
            "length",
            "size",
            "policy",
            "hash",
            "header",
            "regex",
            "pattern",
            "id_rsa",
        )
    ) and not name.lower().endswith(("key_id", "keyid", "appid")):
        return []
    if group == "bare":
        value = value.rstrip(".,:|\\")
        end = start + len(value)
    password = match.group("password") is not None
    if _stands_for(value, password):
        return []
    if password and not _CHECKSUM.search(name):
        return [Span(start, end, "PASSWORD")] if _password_like(value, quoted=group == "quoted") else []
    if _CHECKSUM.search(line.replace(value, "")):
        return []
    if _random(value) or (_UUID.match(value) and re.search(r"key|secret|token", name, re.IGNORECASE)):
        return [Span(start, end, "KEY")]
    return []


def _stands_for(value: str, password: bool = False) -> bool:
    """Whether a value is a placeholder, a reference, a path, or prose."""
    if len(set(value)) < 5 or (
        value.startswith(("$", "{", "<", "%", "/", "./", "../", "~", "@", "http:", "https:", "&", "--", "arn:", "file:", "!", "*", "env:", "ENC[", "#"))
        and not (
            password
            and value[:1] in "$%@!#*~"
            and len(set(value)) > 6
            and re.search(r"\d", value)
            and re.search(r"[a-z]", value)
            and not re.match(r"\$\{|\$\w+\Z|\$\(|%\w+%|@\w+\Z", value)
        )
    ):
        return True
    if _PLACEHOLDER.search(value):
        return True
    if re.search(r"\s", value) and not password:
        return True
    return bool(re.search(r"\(|\)|->|::|\s{2}|\.\w+\(", value)) and not password


def _password_like(value: str, quoted: bool) -> bool:
    """Whether a value beside `password` is one: no sentence, no identifier, no other name."""
    if not 6 <= len(value) <= 64 or " " in value.strip() or not value.isascii() or re.search(r"[(){}<>]|::|->|=>|\\[wdsb]", value):
        return False
    if re.fullmatch(r"[A-Za-z_][A-Za-z_.]*", value) or re.fullmatch(r"[\w-]+(?:\.[\w-]+)+", value):
        return False  # an identifier, an attribute, a file's name
    if re.fullmatch(r"[\d.,-]+|0[xX][0-9a-fA-F]+", value) or value.startswith(("$2", "$1$", "$5$", "$6$", "pbkdf2", "{SSHA", "sha")):
        return False
    classes = sum(bool(re.search(c, value)) for c in ("[a-z]", "[A-Z]", r"\d", r"[^A-Za-z0-9]"))
    return (
        classes >= 3
        or (classes == 2 and bool(re.search(r"\d", value)) and (quoted or len(value) >= 8))
        or (classes == 2 and bool(re.search(r"[^\w.-]", value)))
    )


def _random(value: str) -> bool:
    """The gibberish gate: long, with digits among letters, high entropy, and no words."""
    size = len(value)
    if size < 16 or not re.search(r"\d", value) or not re.fullmatch(r"[A-Za-z0-9+/=_.~:!@#$%^&*-]+", value):
        return False
    if re.fullmatch(r"[\w-]+(?:\.[a-zA-Z][\w-]*)+", value) and entropy(value) < 4:
        return False
    if _HEX.match(value):
        return size >= 20 and entropy(value) >= 2.8 and re.search(r"[a-fA-F]", value) is not None
    letters = "".join(_WORDS.findall(value))
    longest = max((len(w) for w in _WORDS.findall(value)), default=0)
    return (
        entropy(value) >= 3.2
        and longest <= max(5, size // 5)
        and len(letters) < size
        and sum(a.isdigit() != b.isdigit() or a.isupper() != b.isupper() for a, b in pairwise(value)) >= size // 4
    )


def entropy(value: str) -> float:
    """Of a value's characters, in bits a character."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


def _addresses(line: str) -> list[Span]:
    found = []
    for pattern in (_IPV4, _IPV4_AFTER):
        for match in pattern.finditer(line):
            before = line[max(0, match.start() - 40) : match.start()]
            if _public(match.group()) and not _VERSION.search(before) and not all(int(part) < 30 for part in match.group().split(".")):
                found.append(Span(match.start(), match.end(), "IP"))
    return found + [Span(m.start(), m.end(), "IP") for m in _IPV6.finditer(line) if re.match(r"[23][0-9a-fA-F]{3}:", m.group()) and _public(m.group())]


def _public(address: str) -> bool:
    try:
        made = ipaddress.ip_address(address)
    except ValueError:
        return False
    return made.is_global and not made.is_multicast and address not in _DNS and not address.endswith((".0", ".255"))


def _apart(found: list[Span]) -> list[Span]:
    """Sorted, the longer one where two overlap."""
    out: list[Span] = []
    for span in sorted(found, key=lambda s: (s.start, -s.end)):
        if out and span.start < out[-1].end:
            if span.end - span.start > out[-1].end - out[-1].start:
                out[-1] = span
            continue
        out.append(span)
    return out


def replace(text: str, spans: list[Span]) -> str:
    """The text with a tag in the place of each span."""
    parts, at = [], 0
    for span in spans:
        parts += [text[at : span.start], TAGS[span.kind]]
        at = span.end
    return "".join([*parts, text[at:]])


# What every line on which a kind of evidence stands holds too, for RE2.
_LOOKS: tuple[tuple[str, Callable[[str], list[Span]]], ...] = (
    (
        r"(?:AKIA|ASIA|AROA|AIDA)[A-Z2-7]{16}|gh[pousr]_\w{20}|github_pat_|gl[a-z]{2,4}-\w|xox[a-z]-|xapp-\d|hooks\.slack|[rs]k_live_|whsec_|sk-[\w-]{20}|(?:AC|SK)[a-f0-9]{32}|SG\.[\w-]{16}|[a-f0-9]{32}-us\d"
        r"|npm_\w{36}|_authToken=|pypi-\w{20}|AIza[\w-]{35}|ya29\.|GOCSPX-|AccountKey=|SharedAccessKey=|[?&]sig=|eyJ[\w-]{10,}\.|/api/webhooks/\d|[MNO][\w-]{23,27}\.[\w-]{6}\.|\d:AA[\w-]{32}|shp[a-z]{2}_[a-fA-F0-9]{32}"
        r"|do[opr]_v1_|hf_\w{30}|LTAI\w{12}|AKID\w{32}|sq0[a-z]{3}-|EAAA[\w-]{60}|dckr_pat_|lin_api_|NRAK-|glsa_|hv[sb]\.[\w-]{24}|xkeysib-|key-[a-f0-9]{32}|AGE-SECRET|ATATT3|sntrys_|uthorization: Basic|\"auth\": \"",
        _forms,
    ),
    (r"://[^\s:/@]{0,60}:[^\s@/]+@", _urls),
    (r"(?i)pass|pwd|口令|密码|密碼|(?:secret|token|key|auth|credential|bearer|salt| -p).*[0-9]", _names),
    (r"[A-Za-z0-9_+-]@(?:[A-Za-z0-9-]+\.)+[A-Za-z]", _people),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d|[23][0-9a-fA-F]{3}:[0-9a-fA-F:]*:", _addresses),
)


def scrub_batch(texts: pa.Array) -> tuple[pa.Array, dict[Kind, np.ndarray]]:
    """Texts with tags in the place of secrets and personal data, and how many of each kind were replaced. Nulls stay."""
    counts: dict[Kind, np.ndarray] = {kind: np.zeros(len(texts), np.int64) for kind in TAGS}
    spans = find_batch(pc.fill_null(texts, ""))
    changed = [i for i, mine in enumerate(spans) if mine]
    if not changed:
        return texts, counts
    values = texts.to_pylist()
    for i in changed:
        values[i] = replace(values[i], spans[i])
        for span in spans[i]:
            counts[span.kind][i] += 1
    return pa.array(values, texts.type), counts
