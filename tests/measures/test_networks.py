"""A passage's numbers are its own: alone, in any batch, in any order; and a model that does not fit its description is refused."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.measures import networks
from pipeline.measures.networks import FasttextScores, OnnxScores, TorchScores, batched, encoder, line_of
from pipeline.measures.windows import windows
from pipeline.store import ModelFolder, open_folder, open_model
from tests.models import HARMLESS, LABELS, LANGUAGES, SENSITIVE, write_checkpoint
from tests.running import World

LID = open_model("bundled:lid176").path
NETWORK = Path(open_folder(SENSITIVE).path) / open_folder(SENSITIVE).card["bert"]["file"]
TOKENIZER = NETWORK.parent / open_folder(SENSITIVE).card["bert"]["tokenizer"]

PASSAGES = [
    "",
    "a",
    " \n\t ",
    "aaaa" * 500,
    "字" * 2000,
    HARMLESS,
    HARMLESS * 40,
    "\x00\x01\ufffe\U0010ffff",
    "😀" * 30,
    "e\u0301" * 100,
    *(HARMLESS[:n] for n in range(1, len(HARMLESS), 9)),
]
UNICODE = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=120), min_size=1, max_size=6)


# --- batches ------------------------------------------------------------------------------------------------------------------


class Recorder:
    """A network that adds up its tokens, and remembers the blocks that it was given."""

    def __init__(self) -> None:
        self.blocks: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.blocks.append((ids, mask))
        return np.stack([(ids * mask).sum(axis=1), mask.sum(axis=1)], axis=1).astype(np.float32)

    @property
    def waste(self) -> float:
        """The share of padding in all that the network computed."""
        return 1 - sum(int(m.sum()) for _, m in self.blocks) / sum(m.size for _, m in self.blocks)


IDS = st.lists(st.lists(st.integers(1, 20_000), max_size=60), max_size=40)


@given(IDS, st.integers(1, 300), st.integers(0, 3))
def test_every_row_comes_back_in_its_place(ids: list[list[int]], batch_tokens: int, pad: int) -> None:
    found = batched(ids, Recorder(), 2, batch_tokens, pad)
    assert found.dtype == np.float64
    assert np.array_equal(found, np.array([[sum(i), len(i)] for i in ids], np.float64).reshape(-1, 2))


@given(IDS, st.integers(1, 300))
def test_blocks_are_of_one_length_which_follows_from_each_row_alone(ids: list[list[int]], batch_tokens: int) -> None:
    seen = Recorder()
    batched(ids, seen, 2, batch_tokens, pad=7)
    assert sum(len(block) for block, _ in seen.blocks) == len(ids)
    for block, mask in seen.blocks:
        rows, length = block.shape
        assert rows == 1 or rows * length <= batch_tokens
        for row, real in zip(block, mask.sum(axis=1), strict=True):
            assert length == max(8, -(-real // 8) * 8)
            assert (row[real:] == 7).all()
        assert (np.sort(mask, axis=1)[:, ::-1] == mask).all(), "padding stands at the end"


def realistic(world: World) -> dict[str, list[str]]:
    """Windows of what the sample holds: posts, articles, and the text of pages."""
    files = {
        name: sorted(world.folder.glob(glob)) for name, glob in {"posts": "social/*.jsonl", "articles": "encyclopaedia/*.jsonl", "pages": "texts.jsonl"}.items()
    }
    texts = {name: [json.loads(line)["text"] for path in paths for line in path.read_text(encoding="utf-8").splitlines()] for name, paths in files.items()}
    return {name: [w for text in some for w in windows(text, 200, 16)] for name, some in texts.items()}


def test_less_than_a_tenth_of_what_is_computed_is_padding(world: World) -> None:
    encode = encoder(TOKENIZER, 256)
    every = Recorder()
    for passages in realistic(world).values():
        assert passages
        batched(encode(passages), every, 2, 4096)
    assert every.waste < 0.10
    assert sum(len(block) for block, _ in every.blocks) / len(every.blocks) > 2, "and batches are no single passages"


# --- the int8 network -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert() -> OnnxScores:
    return OnnxScores(NETWORK, TOKENIZER, LABELS, 128)


@pytest.fixture(scope="module")
def alone(bert: OnnxScores) -> np.ndarray:
    """The numbers of each passage when it is judged alone."""
    return np.concatenate([bert([passage]) for passage in PASSAGES])


@pytest.fixture(params=[1, 64, 700, 1 << 20], ids="{} tokens a batch".format)
def batch_tokens(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setitem(networks._BATCH_TOKENS, "cpu-int8", request.param)
    return int(request.param)


def test_a_score_alone_is_the_score_in_any_batch(bert: OnnxScores, alone: np.ndarray, batch_tokens: int) -> None:
    assert alone.shape == (len(PASSAGES), len(LABELS))
    assert np.isfinite(alone).all()
    assert np.array_equal(bert(PASSAGES), alone)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(PASSAGES))
        assert np.array_equal(bert([PASSAGES[i] for i in order]), alone[order])


def test_a_score_is_the_same_among_copies_and_strangers(bert: OnnxScores, alone: np.ndarray) -> None:
    number = PASSAGES.index(HARMLESS)
    crowd = [HARMLESS] * 33 + [f"{i} {HARMLESS}" for i in range(20)]
    assert np.array_equal(bert(crowd)[:33], np.repeat(alone[number : number + 1], 33, axis=0))


@settings(max_examples=12, deadline=None)
@given(UNICODE, st.randoms(use_true_random=False))
def test_a_score_alone_is_the_score_in_any_batch_of_any_text(bert: OnnxScores, passages: list[str], chance: Any) -> None:
    each = np.concatenate([bert([passage]) for passage in passages])
    order = list(range(len(passages)))
    chance.shuffle(order)
    cut = chance.randint(0, len(order))
    found = np.concatenate([bert([passages[i] for i in part]) for part in (order[:cut], order[cut:])])
    assert np.isfinite(each).all()
    assert np.array_equal(found, each[order])


def test_what_a_passage_says_is_seen(bert: OnnxScores) -> None:
    """Else the tests above could be passed by a network that says the same of everything."""
    other = "完全不同的话题：今天的足球比赛以三比二结束，球迷们在雨中庆祝到深夜。"
    assert not np.array_equal(bert([HARMLESS]), bert([other]))


def test_nothing_to_judge(bert: OnnxScores) -> None:
    assert bert([]).shape == (0, len(LABELS))


def test_a_passage_is_cut_at_the_longest_that_the_network_reads(bert: OnnxScores) -> None:
    encode = encoder(TOKENIZER, 128)
    assert {len(ids) for ids in encode([HARMLESS * 40, "字" * 5000])} == {128}
    assert np.array_equal(bert(["字" * 126]), bert(["字" * 126 + "完全"])), "beyond the cut nothing counts"
    assert encode([]) == []


@pytest.mark.parametrize("labels", [LABELS[:-1], (*LABELS, "one_more")], ids=["too few", "too many"])
def test_a_network_with_another_number_of_outputs_is_refused(labels: Sequence[str]) -> None:
    with pytest.raises(ModelError, match=rf"model\.onnx gives {len(LABELS)} numbers a passage, but its model\.toml names {len(labels)} labels: {LABELS[0]}, "):
        OnnxScores(NETWORK, TOKENIZER, labels, 128)


# --- fastText -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def student() -> FasttextScores:
    return FasttextScores(LID, LANGUAGES)


def test_probabilities_stand_in_the_order_of_the_labels(student: FasttextScores) -> None:
    texts = ["The committee will meet again on Thursday.", "委员会将于星期四再次开会。", "Der Ausschuss tritt am Donnerstag erneut zusammen."]
    found = student(texts)
    assert found.argmax(axis=1).tolist() == [LANGUAGES.index(name) for name in ("en", "zh", "de")]
    assert ((found >= 0) & (found <= 1)).all()
    turned = FasttextScores(LID, LANGUAGES[::-1])(texts)
    assert np.array_equal(turned[:, ::-1], found)


@settings(max_examples=50, deadline=None)
@given(UNICODE)
def test_a_students_score_alone_is_its_score_in_any_batch(student: FasttextScores, passages: list[str]) -> None:
    each = np.concatenate([student([passage]) for passage in passages])
    assert np.isfinite(each).all()
    assert np.array_equal(student(passages[::-1]), each[::-1])
    assert student([]).shape == (0, len(LANGUAGES))


def test_lines_capitals_and_spaces_say_nothing(student: FasttextScores) -> None:
    found = student(["two lines\nof one text", "Two  Lines of one\r\n\r\n text "])
    assert np.array_equal(found[0], found[1])
    assert line_of("Two  Lines，\n两行") == "two lines， 两 行"


def test_words_that_fasttext_takes_for_its_own_hide_nothing(student: FasttextScores) -> None:
    german = "der Ausschuss tritt am Donnerstag erneut zusammen"
    plain, *hidden = student([german, f"</s> {german}", f"</S> {german}", f"__label__en {german}", f"\n</s>\n{german}"])
    for found in hidden:
        assert found.argmax() == LANGUAGES.index("de")
        assert found[LANGUAGES.index("de")] > 0.5 * plain[LANGUAGES.index("de")]


def test_a_label_that_the_student_does_not_know_is_refused() -> None:
    with pytest.raises(ModelError, match=r"lid\.176\.ftz knows no label no_language, which its model\.toml names; it knows "):
        FasttextScores(LID, ("en", "no_language"))
    assert FasttextScores(LID, ("en", "no_language"), some_missing=True)(["English"])[0, 1] == 0
    with pytest.raises(ModelError, match="knows no label no_language, nor_this"):
        FasttextScores(LID, ("no_language", "nor_this"), some_missing=True)


# --- checkpoints of transformers --------------------------------------------------------------------------------------------------


CHECKPOINT = ("first", "second", "third")


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., ModelFolder]:
    """Write a tiny random BERT, as anybody's save_pretrained does."""
    return lambda **settings: open_folder(str(write_checkpoint(tmp_path, *CHECKPOINT, **settings)))


@pytest.mark.train
def test_a_checkpoint_gives_what_transformers_gives(save: Callable[..., ModelFolder]) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = save()
    scores = TorchScores(folder, "cpu-fp32")
    assert scores.labels == CHECKPOINT
    found = scores(PASSAGES)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder.path).eval(), AutoTokenizer.from_pretrained(folder.path)
    for passage, mine in zip(PASSAGES, found, strict=True):
        with torch.inference_mode():
            theirs = model(**tokenizer(passage, truncation=True, max_length=64, return_tensors="pt")).logits[0].numpy()
        assert np.abs(mine - theirs).max() < 1e-5, passage
    assert np.ptp(found, axis=0).min() > 1e-3, "a network that says the same of everything proves nothing"


@pytest.mark.train
def test_padding_leads_to_no_position_that_a_checkpoint_lacks(save: Callable[..., ModelFolder]) -> None:
    found = TorchScores(save(positions=61), "cpu-fp32")(PASSAGES)
    assert np.isfinite(found).all()


@pytest.mark.train
def test_a_checkpoint_with_other_labels_is_refused(save: Callable[..., ModelFolder]) -> None:
    with pytest.raises(ModelError, match=r"has the labels first, second, third, where first, other were expected"):
        TorchScores(save(), "cpu-fp32", ("first", "other"))


@pytest.mark.train
@pytest.mark.parametrize("gone", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_checkpoint_with_a_file_missing_is_refused(save: Callable[..., ModelFolder], gone: str) -> None:
    folder = save()
    (Path(folder.path) / gone).unlink()
    with pytest.raises(ModelError, match=rf"transformers cannot open the checkpoint {folder.path}: .*save_pretrained"):
        TorchScores(folder, "cpu-fp32")


@pytest.mark.train
def test_a_checkpoint_whose_tokenizer_is_not_its_own_is_refused(save: Callable[..., ModelFolder]) -> None:
    """Of a RoBERTa without tokenizer files transformers makes a tokenizer of five specials, and every text is empty: a fine-tune learnt nothing."""
    folder = save()  # skips where the libraries are missing
    from transformers import BertTokenizerFast

    BertTokenizerFast(vocab={name: i for i, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))}).save_pretrained(folder.path)
    with pytest.raises(ModelError, match="its tokenizer has 5 entries"):
        TorchScores(folder, "cpu-fp32")


@pytest.mark.train
def test_a_gpu_that_is_not_there_is_named(save: Callable[..., ModelFolder]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ModelError, match=r"precision cuda-bf16, and there is no GPU here\. cpu-int8 and cpu-fp32 run on a CPU"):
        TorchScores(save(), "cuda-bf16")


def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        if name in ("torch", "transformers"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(networks, "version", version)
    assert networks.engines("cpu-int8", ("fasttext", "bert")) == {"fasttext-predict": "1.0", "onnxruntime": "1.0", "tokenizers": "1.0"}
    with pytest.raises(ModelError, match=r"precision cpu-fp32 needs torch, which is not installed here: pip install 'skypile-builder\[train\]'"):
        networks.engines("cpu-fp32", ("bert",))
    assert networks.engines("cpu-fp32", ("fasttext",)) == {"fasttext-predict": "1.0"}


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_processors_that_multiply_exactly_are_known_by_their_flags(tmp_path: Path, flag: str) -> None:
    file = tmp_path / "cpuinfo"
    assert not networks.exact_products(file), "nobody can say"
    file.write_text("processor : 0\nflags : fpu avx2 avx512f\n")
    assert not networks.exact_products(file)
    file.write_text(f"processor : 0\nflags : fpu avx2 {flag}\n")
    assert networks.exact_products(file)


def test_both_ways_of_multiplying_give_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one for processors with VNNI or AMX, and the slower one for all others: where this runs on one of the former, both are exact."""
    if not networks.exact_products():
        pytest.skip("this processor has neither VNNI nor AMX")
    folder = open_folder("bundled:sensitive")
    where = (Path(folder.path) / "model.onnx", Path(folder.path) / "tokenizer.json", folder.card["labels"], 256)
    texts = ["The ferry leaves at seven.", "威尼斯人娱乐城 注册送彩金", "x" * 3000, "word " * 500, ""]
    fast = networks.OnnxScores(*where)(texts)
    monkeypatch.setattr(networks, "exact_products", lambda: False)
    assert np.array_equal(fast, networks.OnnxScores(*where)(texts))
