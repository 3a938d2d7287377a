"""Settings read from YAML: the shipped recipes, the round trip, and every mistake with its place."""

import re
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope import recipes
from convscope.catalog import DATA, MODELS
from convscope.config import Config
from convscope.errors import UserError
from convscope.recipes import differences, load_config, load_recipe, parse_config, recipe_names

shares = st.floats(0, 1, exclude_max=True)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
not_negative = st.floats(0, allow_infinity=False)
counts = st.integers(1, 10**6)
seeds = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
options = st.integers() | st.floats(allow_nan=False) | st.booleans() | texts


def consistent(**values: Any) -> Config:
    """Pretrained weights bring a scaling of their own, and refuse another; without them nothing can be frozen."""
    if values["pretrained"]:
        values["scaling"] = "standardise"
    else:
        values["freeze"] = None
    if values["freeze"] is None:
        values["unfreeze_every"] = None
    return Config(**values)


configs = st.builds(
    consistent,
    data=texts,
    model=texts,
    model_options=st.dictionaries(texts, options, max_size=3),
    dropout=st.none() | shares,
    pretrained=st.none() | texts.filter(bool),
    freeze=st.none() | st.integers(1, 9) | st.just("all-but-head"),
    stage_lr_decay=st.floats(0, 1, exclude_min=True),
    unfreeze_every=st.none() | counts,
    val_share=st.floats(0.01, 0.99),
    test_share=st.floats(0.01, 0.99),
    split_seed=seeds,
    scaling=st.sampled_from(["standardise", "unit", "signed"]),
    input_size=st.none() | st.integers(1, 4096),
    resize=st.sampled_from(["crop", "squash", "pad"]),
    decode_size=st.none() | st.integers(1, 4096),
    flip=st.booleans(),
    shift=st.integers(0, 4096),
    rotation=st.floats(0, 180),
    cutout=st.integers(0, 4096),
    crop_scale=st.floats(0, 1, exclude_min=True),
    jitter=st.floats(0, 1),
    mixup=not_negative,
    cutmix=not_negative,
    epochs=counts,
    batch_size=counts,
    micro_batch=st.none() | counts,
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    lr=positive,
    momentum=st.floats(0.1, 0.99),
    nesterov=st.booleans(),
    weight_decay=not_negative,
    decay_norms_and_biases=st.booleans(),
    schedule=st.sampled_from(["constant", "step", "plateau", "exponential", "cosine", "one-cycle"]),
    warmup_epochs=not_negative,
    step_epochs=counts,
    plateau_patience=st.integers(0, 100),
    gamma=st.floats(0, 1, exclude_min=True),
    final_lr=st.floats(0, 1),
    label_smoothing=shares,
    clip_norm=st.none() | positive,
    ema=shares,
    patience=st.none() | counts,
    seed=seeds,
    device=texts,
    precision=st.sampled_from(["auto", "float32", "bfloat16", "float16"]),
    compile=st.booleans(),
    kernels=st.booleans(),
    sync_batch_norm=st.booleans(),
    threads=st.none() | st.integers(1, 4096),
    checkpoint_every=st.none() | positive,
    snapshots=st.booleans(),
)


@given(configs)
def test_yaml_round_trip(config: Config) -> None:
    assert parse_config(config.to_yaml(), source="itself") == config


@given(configs)
def test_differences_alone_give_the_setting_back(config: Config) -> None:
    changed = differences(config)
    assert Config(**changed) == config
    assert all(getattr(Config(), name) != value for name, value in changed.items())


def test_the_round_trip_covers_every_field() -> None:
    assert set(configs.wrapped_strategy.kwargs) == {field.name for field in fields(Config)}


def test_there_are_recipes() -> None:
    assert "fashion-mnist-94" in recipe_names()


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_load_and_hold_only_differences(name: str) -> None:
    config = load_recipe(name)
    assert config.model in MODELS
    assert config.data in DATA
    text = resources.files("convscope.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^(\w+):", text, flags=re.MULTILINE))
    assert keys - {"data", "model"} == differences(config).keys() - {"data", "model"}


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_headed_by_what_they_gave(name: str) -> None:
    text = resources.files("convscope.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    header = "".join(line for line in text.splitlines() if line.startswith("#"))
    assert re.search(r"\d%", header), "no accuracy"
    assert re.search(r"\d (s|min|h)\b", header), "no time"


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown recipe 'cifar10-bst': did you mean 'cifar10-best'"):
        load_recipe("cifar10-bst")


def test_a_recipe_is_no_path() -> None:
    with pytest.raises(UserError, match="unknown recipe"):
        load_recipe("../recipes/fashion-mnist-94")


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "{}", "---\n"])
def test_an_empty_file_is_the_defaults(text: str) -> None:
    assert parse_config(text, source="f") == Config()


@pytest.mark.parametrize(
    ("text", "value"),
    [("lr: 1e-3", 1e-3), ("lr: 1", 1.0), ("lr: '0.1'", 0.1), ("lr: .5", 0.5)],
)
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    lr = parse_config(text, source="f").lr
    assert lr == value
    assert isinstance(lr, float)


MISTAKES = [
    # A wrong key: the nearest right one, or all of them.
    ("lr: 0.1\nepocs: 3", "line 2: unknown key 'epocs': did you mean 'epochs'?"),
    ("batchsize: 3", "line 1: unknown key 'batchsize': did you mean 'batch_size'?"),
    ("zzz: 3", "line 1: unknown key 'zzz': the keys are data, model, "),
    ("1: 3", "line 1: unknown key '1': the keys are data, "),
    ("null: 3", "line 1: unknown key 'None': the keys are data, "),
    ("lr: 0.1\n\n# again\nlr: 0.2", "line 4: 'lr' is already in line 1: keep one."),
    # A wrong value: what was expected, and the nearest right one.
    ("epochs: many", "line 1: epochs is 'many': it must be a whole number."),
    ("epochs: 1.5", "line 1: epochs is 1.5: it must be a whole number."),
    ("epochs: true", "line 1: epochs is True: it must be a whole number."),
    ("epochs: null", "line 1: epochs is None: it must be a whole number."),
    ("seed: 1\nepochs: 0", "line 2: epochs is 0: it must be at least 1."),
    ("lr: fast", "line 1: lr is 'fast': it must be a number."),
    ("lr: -1", "line 1: lr is -1.0: it must be greater than 0."),
    ("lr: .nan", "line 1: lr is nan: it must be a finite number."),
    ("lr: 2020-01-01", "line 1: lr is datetime.date(2020, 1, 1): it must be a number."),
    (f"lr: {'9' * 400}", "line 1: lr is 999"),
    ("patience: soon", "line 1: patience is 'soon': it must be a whole number."),
    ("flip: 1", "line 1: flip is 1: it must be true or false."),
    ("data: 3", "line 1: data is 3: it must be a text."),
    ("optimizer: adm", "line 1: optimizer is 'adm': did you mean 'adam'?"),
    ("schedule: 3", "line 1: schedule is 3: choose one of constant, step, "),
    ("optimizer: [adam]", "line 1: optimizer is ['adam']: "),
    ("model_options: 3", "line 1: model_options is 3: it must be a mapping such as {hidden: 256}."),
    ("model_options: {hidden: [1]}", "line 1: model_options is {'hidden': [1]}: it must be a number, "),
    ("model_options: {1: 2}", "line 1: model_options is {1: 2}: it must be a mapping"),
    ("momentum: 0\nnesterov: true", "line 2: nesterov needs momentum"),
    ("lr: &a [*a]", "line 1: another place refers to this value"),
    # No setting at all.
    ("lr: 0.1\nepochs: : 3", ", line 2: this is not YAML: write one 'key: value' a line."),
    ("lr: [", ", line 1: this is not YAML"),
    ("lr: 2020-13-45", ": this is not YAML"),
    (f"seed: {'9' * 5000}", "line 1: this has 5,000 characters: give at most 3,000."),
    (f"seed: 0x{'f' * 2990}", "seed is"),
    ("? [a]\n: 3", ": this is not YAML"),
    ("lr: 0.1\n---\nlr: 0.2", ": this is not YAML"),
    ("lr: 0.1\0", ": this is not YAML"),
    ("[" * 3000, ": this is not YAML"),
    ("- lr", ": this is no setting: write 'key: value' lines"),
    ("lr", ": this is no setting: write 'key: value' lines"),
    ("0", ": this is no setting: write 'key: value' lines"),
    ("!!set {lr}", ": this is no setting: write 'key: value' lines"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_are_named_with_their_place(text: str, message: str) -> None:
    with pytest.raises(UserError) as info:
        parse_config(text, source="my.yaml")
    said = str(info.value)
    assert said.startswith("my.yaml")
    assert message in said
    assert "\n" not in said
    assert len(said) < 700


def test_yaml_runs_no_code(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    with pytest.raises(UserError, match="not YAML"):
        parse_config(f"data: !!python/object/apply:pathlib.Path.touch [{trap}]", source="f")
    assert not trap.exists()


def test_a_bomb_of_references_is_told_in_one_short_sentence() -> None:
    lines = ["lr: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{key}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n, key in enumerate(["epochs", "seed", "ema", "shift"])
    ]
    with pytest.raises(UserError) as info:
        parse_config("\n".join(lines), source="f")
    assert len(str(info.value)) < 300


@given(st.text(max_size=40))
def test_any_text_is_a_setting_or_a_users_mistake(text: str) -> None:
    try:
        assert isinstance(parse_config(text, source="f"), Config)
    except UserError as error:
        assert str(error).startswith("f")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\xff\xfe\x00", "no text in UTF-8"), ("folder", "Is a directory")],
)
def test_a_file_that_cannot_be_read(content: bytes | str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "setting.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    with pytest.raises(UserError, match=message) as info:
        load_config(path)
    assert str(path) in str(info.value)


def test_errors_of_a_file_name_it(tmp_path: Path) -> None:
    path = tmp_path / "setting.yaml"
    path.write_text("model: linear\nepocs: 3\n", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(f"{path}, line 2: unknown key 'epocs'")):
        load_config(path)
    path.write_text("model: linear\n", encoding="utf-8")
    assert load_config(path) == Config(model="linear")


pieces = st.sampled_from(
    [
        "lr",
        ": ",
        ":",
        " ",
        "  ",
        "\n",
        "\n  ",
        '"',
        "'",
        "#",
        " #",
        "- ",
        "1e-3",
        "~",
        "0x1f",
        "2020-1-1",
        "%",
        "\\",
        "---",
    ]
)


@given(st.lists(pieces | st.just("seed: 1\n") | st.just("model_options:\n  hidden: 256\n"), max_size=12))
def test_plain_texts_are_read_alike_fast_and_slowly(parts: list[str]) -> None:
    text, plain = "".join(parts), recipes._PLAIN_LINE

    def outcome() -> str:
        try:
            return repr(recipes.parse_mapping(text, source="it"))
        except UserError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        fast = outcome()
        patch.setattr(recipes, "_PLAIN_LINE", re.compile("(?!)"))
        assert outcome() == fast
    assert all(map(plain.fullmatch, Config(model_options={"hidden": 256}).to_yaml().splitlines()))


def test_what_is_nested_deeply_is_not_read_in_c() -> None:
    for text in (
        "a: " + "[" * 3000,
        "a: " + "{b: " * 3000,
        "- " * 3000,
        "a:\n" + "".join(" " * n + "a:\n" for n in range(400)),
    ):
        with pytest.raises(UserError):
            parse_config(text, source="it")
