"""The model against transformers' own, and each fast part against its obvious twin."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from pipeline.errors import PlanError  # noqa: E402  # behind the skip
from pipeline.train import checkpoint, model  # noqa: E402
from pipeline.train.configs import CONFIGS, Shape, settings  # noqa: E402
from pipeline.train.model import CrossEntropy, Transformer, document_mask  # noqa: E402

pytestmark = pytest.mark.train
SHAPES = {
    "llama": Shape(2, 48, 4, 96, vocabulary=300, init_std=0.2),
    "grouped": Shape(2, 48, 4, 96, kv_heads=2, vocabulary=300, init_std=0.2, rope_theta=500.0),
    "normed": Shape(2, 48, 4, 96, kv_heads=1, qk_norm=True, vocabulary=300, init_std=0.2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_those_of_transformers(name: str) -> None:
    """To 1e-5 in float32, with weights under transformers' names."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = SHAPES[name]
    ours = Transformer(shape).initialise(5)
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
    about = checkpoint.transformers_config(shape, 64, 0)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**about), dtype=torch.float32).eval()
    missing = theirs.load_state_dict({checkpoint.transformers_name(k): v for k, v in ours.state_dict().items()})
    assert not missing.missing_keys and not missing.unexpected_keys
    ids = torch.randint(0, 300, (3, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = theirs(ids).logits, ours(ids)
    assert expected.abs().max() > 1, "logits of some size"
    assert (expected - found).abs().max() < 1e-5 * expected.abs().max()


def test_documents_do_not_see_one_another() -> None:
    ours = Transformer(SHAPES["normed"]).initialise(5)
    ids = torch.randint(1, 300, (1, 30), generator=torch.Generator().manual_seed(2))
    ids[0, 0] = ids[0, 11] = ids[0, 12] = 0
    with torch.no_grad():
        together = ours(ids, mask=document_mask(ids, 0))
        for begin, end in ((0, 11), (11, 12), (12, 30)):
            alone = ours(ids[:, begin:end])
            assert (together[:, begin:end] - alone).abs().max() < 1e-4


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("name", ["grouped", "normed"])
def test_flex_attention_sees_what_the_mask_lets_see(name: str) -> None:
    """What a GPU runs, here on a CPU, where torch has its forward pass alone."""
    ours = Transformer(SHAPES[name]).initialise(5)
    ids = torch.randint(0, 40, (3, 200), generator=torch.Generator().manual_seed(4))  # some five documents a row, more than one block of 128 places
    with torch.no_grad():
        expected, found = (ours(ids, mask=document_mask(ids, 0, blocks)) for blocks in (False, True))
    assert expected.abs().max() > 1 and (expected - found).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_the_loss_in_chunks_is_cross_entropy(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_CHUNK", {"cpu": chunk})
    chance = torch.Generator().manual_seed(3)
    x, weight = torch.randn(50, 16, generator=chance, dtype=torch.float64), torch.randn(90, 16, generator=chance, dtype=torch.float64)
    targets = torch.randint(0, 90, (50,), generator=chance)
    ours = [t.clone().float().requires_grad_() for t in (x, weight)]
    theirs = [t.clone().requires_grad_() for t in (x, weight)]
    found = CrossEntropy.apply(*ours, targets)
    expected = torch.nn.functional.cross_entropy(theirs[0] @ theirs[1].T, targets, reduction="sum")
    (found * 0.3).backward()
    (expected * 0.3).backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad - b.grad).abs().max() < 1e-5


def test_without_gradients_none_are_made() -> None:
    """A parameter needs its gradient under no_grad too, as torch tells a function of one's own: the head would cost three times as much."""
    ours, asked = Transformer(SHAPES["llama"]).initialise(5), []
    ours.judge = lambda logits, at, needed: asked.append(needed) or model.judged(logits, at, needed)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        ours(ids, ids)
    ours(ids, ids)
    assert asked == [False, True]


def test_a_sure_prediction_keeps_its_gradient_in_bf16() -> None:
    """p - 1 is made in float32: of p = 0.9995, bf16 would leave 0."""
    logits = torch.tensor([[7.625, 0.0, -2.0]], dtype=torch.bfloat16)
    loss, chances, at_target = model.judged(logits, torch.tensor([[0]]), True)
    expected = torch.softmax(logits.double(), 1)
    assert loss.item() == pytest.approx(-expected[0, 0].log().item(), rel=1e-3)
    assert at_target.item() == pytest.approx(expected[0, 0].item() - 1, rel=1e-2) and at_target.dtype == torch.bfloat16
    assert torch.allclose(chances.double(), expected, rtol=1e-2)


def test_what_is_compiled_is_one_graph() -> None:
    """A break would leave most of a step unfused, and nothing would say so. Traced here without code being made, with the mask as a CPU has it."""
    ours = Transformer(SHAPES["normed"]).initialise(5)
    ids = torch.randint(0, 40, (2, 65), generator=torch.Generator().manual_seed(4))
    given = (ids[:, :-1], ids[:, 1:], document_mask(ids[:, :-1], 0))
    expected = ours(*given)
    expected.backward()
    gradients = {k: p.grad.clone() for k, p in ours.named_parameters()}
    ours.zero_grad()
    for block in ours.blocks:
        block.compile(backend="aot_eager", fullgraph=True)
    ours.judge = torch.compile(model.judged, backend="aot_eager", fullgraph=True)
    found = ours(*given)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, gradients[name], rtol=1e-4, atol=1e-4 * float(gradients[name].abs().max()))


def test_the_loss_does_not_overflow() -> None:
    x = torch.full((1, 4), 100.0)
    weight = torch.stack([torch.full((4,), 100.0), torch.full((4,), -100.0)])
    assert CrossEntropy.apply(x, weight, torch.tensor([0])).item() == 0
    assert CrossEntropy.apply(x, weight, torch.tensor([1])).item() == pytest.approx(80_000)


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_have_as_many_parameters_as_they_say(name: str) -> None:
    """On the meta device, where 13.85 billion parameters cost nothing."""
    shape = CONFIGS[name].shape
    with torch.device("meta"):
        made = Transformer(shape)
    assert sum(p.numel() for p in made.parameters()) == shape.parameters
    assert sum(p.numel() for p in made.parameters()) - made.embed.weight.numel() - made.head.weight.numel() == shape.block_parameters


def test_skywork_13b_is_the_published_one() -> None:
    shape = CONFIGS["skywork-13b"].shape
    assert round(shape.parameters / 1e9, 2) == 13.85
    assert CONFIGS["skywork-13b"].batch_tokens == 4096 * 4096
    with torch.device("meta"):
        logits = Transformer(shape)(torch.zeros(1, 16, dtype=torch.int64))
    assert logits.shape == (1, 16, 65_536)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(PlanError, match="no configuration 'tny'"):
        settings("tny")
    with pytest.raises(PlanError, match="'widht' is no setting"):
        settings("tiny", widht=3)
    with pytest.raises(PlanError, match="does not part into 3 heads"):
        settings("tiny", heads=3)
    with pytest.raises(PlanError, match="no whole number of rows"):
        settings("tiny", batch_tokens=1000)
