"""Where values come from: defaults, the file, the environment, files of secrets."""

import logging
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr, model_validator

from stream_guard.config.loading import read_settings
from stream_guard.config.writing import default_yaml, effective_yaml
from stream_guard.errors import ConfigError
from stream_guard.settings import Settings


class Hook(Settings):
    """One place that is told."""

    url: str
    """Where."""
    secret: SecretStr | None = None
    """Signs what is sent."""


class Window(Settings):
    """What is looked at together."""

    window_s: Annotated[float, Field(gt=0)] = 60.0
    """How long it is."""
    step_s: Annotated[float, Field(gt=0)] = 10.0
    """How far it moves."""
    mode: Literal["count", "mean"] = "count"
    """What is done with it."""

    @model_validator(mode="after")
    def _fits(self):
        if self.step_s > self.window_s:
            raise ValueError("step_s must not be more than window_s")
        return self


class Shop(Settings):
    """Every kind of setting that the parts use."""

    window: Window = Window()
    """The window."""
    slow_window: Window = Window(window_s=600.0, mode="mean")
    """Another one, with defaults of its own."""
    password: SecretStr | None = None
    """Opens the door."""
    keys: tuple[SecretStr, ...] = ()
    """Open other doors."""
    hooks: tuple[Hook, ...] = ()
    """Who is told."""
    folder: Path = Path("out")
    """Where it is kept."""
    names: tuple[str, ...] = ("a", "no", "1e3")
    """Who is in it."""
    weights: dict[str, float] = Field(default={"rate": 1.0})
    """How much each counts."""
    limit: int | None = None
    """How many."""
    allow: frozenset[str] = frozenset({"b", "c", "a"})
    """Who may come in."""
    code: str = "x"
    """Said at the door."""


@pytest.fixture
def shop(tmp_path):
    def read(text="", **environ):
        file = tmp_path / "shop.yaml"
        file.write_text(text)
        return read_settings(Shop, file, {f"STREAM_GUARD__{name}": value for name, value in environ.items()})

    return read


def refusal(shop, tmp_path, text="", **environ):
    with pytest.raises(ConfigError) as refused:
        shop(text, **environ)
    return str(refused.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("text", ["", "# nothing\n", "window:\n", "window: {}\n", "window:\n  # mode: mean\nlimit:\n"])
def test_what_is_left_out_is_the_default(shop, text):
    assert shop(text).settings == Shop()


def test_a_section_given_in_part_keeps_its_own_defaults(shop):
    assert shop("slow_window:\n  step_s: 5\n").settings.slow_window == Window(window_s=600.0, mode="mean", step_s=5.0)
    assert shop(SLOW_WINDOW__STEP_S="5").settings.slow_window == Window(window_s=600.0, mode="mean", step_s=5.0)
    assert shop("weights: {x: 1}\n").settings.weights == {"x": 1.0}


def test_the_environment_is_stronger_than_the_file(shop, tmp_path):
    loaded = shop("limit: 3\nwindow:\n  mode: mean\n  window_s: 90\n", WINDOW__WINDOW_S="120.5")

    assert loaded.settings.window == Window(mode="mean", window_s=120.5)
    assert loaded.origins["limit",] == f"{tmp_path}/shop.yaml:1"
    assert loaded.origins["window", "window_s"] == "STREAM_GUARD__WINDOW__WINDOW_S"


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("limit", "12", 12),
        ("limit", "null", None),
        ("code", "12", "12"),
        ("code", "true", "true"),
        ("code", "a: [b", "a: [b"),
        ("folder", "/var/lib/x", Path("/var/lib/x")),
        ("names", "[a, b]", ("a", "b")),
        ("weights", "{rate: 2}", {"rate": 2.0}),
        ("password", "123", SecretStr("123")),
    ],
)
def test_a_variable_is_read_as_what_its_setting_takes(shop, variable, text, value):
    assert getattr(shop(**{variable.upper(): text}).settings, variable) == value


def test_mistakes_in_the_environment_name_the_variable(shop, tmp_path):
    message = refusal(shop, tmp_path, "limit: x\n", WINDOW__MODE="median", WINDOW__STEPS="1", WINDOW="{}", LIMIT_="1")

    assert message.splitlines() == [
        "shop.yaml:1: limit: must be a whole number, not text",
        "STREAM_GUARD__LIMIT_: is not a setting (did you mean STREAM_GUARD__LIMIT?)",
        "STREAM_GUARD__WINDOW: is a section; set what is in it",
        "STREAM_GUARD__WINDOW__MODE: window.mode: must be one of count, mean (did you mean mean?)",
        "STREAM_GUARD__WINDOW__STEPS: is not a setting (did you mean STREAM_GUARD__WINDOW__STEP_S?)",
    ]


def test_a_variable_that_is_no_text_is_refused(shop, tmp_path):
    assert refusal(shop, tmp_path, CODE="a\udcff") == "STREAM_GUARD__CODE: is not UTF-8 text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window:\n  window_s: 0\n", "shop.yaml:2: window.window_s: must be greater than 0, not 0"),
        ("window:\n  mode: man\n", "shop.yaml:2: window.mode: must be one of count, mean (did you mean mean?)"),
        ("window:\n  step_s: 70\n", "shop.yaml:1: window: step_s must not be more than window_s"),
        ("hooks:\n- secret: x\n", "shop.yaml:2: hooks[0].url: is required"),
        ("hooks:\n- url: x\n- url: 3\n", "shop.yaml:3: hooks[1].url: must be text, not a number"),
        ("hooks: x\n", "shop.yaml:1: hooks: must be a list, not text"),
        ("weights:\n  rate: x\n", "shop.yaml:2: weights.rate: must be a number, not text"),
        ("names: [a, 1]\n", "shop.yaml:1: names[1]: must be text, not a number"),
        ("limit: 1.5\n", "shop.yaml:1: limit: must be a whole number, not a number"),
        ("limit: true\n", "shop.yaml:1: limit: must be a whole number, not true or false"),
        ("window:\n  window_s: .inf\n", "shop.yaml:2: window.window_s: must be a number, not text"),
        ("password: 12345\n", "shop.yaml:1: password: must be text, not a number"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(shop, tmp_path, text, message):
    assert refusal(shop, tmp_path, text) == message


def test_a_secret_is_read_from_a_file_beside_the_configuration(shop, tmp_path):
    (tmp_path / "password").write_text("hush\n")
    (tmp_path / "keys").write_text("one\ntwo\n")
    (tmp_path / "hook").write_text("three")
    for name in ("password", "keys", "hook"):
        (tmp_path / name).chmod(0o600)

    loaded = shop("password_file: password\nkeys_file: keys\nhooks:\n- {url: u, secret_file: hook}\n")

    assert loaded.settings.password == SecretStr("hush")
    assert loaded.settings.keys == (SecretStr("one"), SecretStr("two"))
    assert loaded.settings.hooks[0].secret == SecretStr("three")
    assert loaded.origins["password",] == f"{tmp_path}/shop.yaml:1 ({tmp_path}/password)"


def test_a_secret_file_can_be_named_by_the_environment_and_replaces_the_files_secret(shop, tmp_path):
    (tmp_path / "password").write_text("hush\r\n")
    (tmp_path / "password").chmod(0o600)

    loaded = shop("password: old\n", PASSWORD_FILE=str(tmp_path / "password"))

    assert loaded.settings.password == SecretStr("hush")
    assert shop(f"password_file: {tmp_path}/password", PASSWORD="new").settings.password == SecretStr("new")


def test_a_secret_that_everybody_can_read_is_warned_of(shop, tmp_path, caplog):
    (tmp_path / "password").write_text("hush")
    (tmp_path / "password").chmod(0o644)

    with caplog.at_level(logging.WARNING):
        shop("password_file: password\n")

    assert f"{tmp_path}/password holds a secret and can be read by every user" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("password_file: none\n", "shop.yaml:1: password_file: none: No such file or directory"),
        ("password_file: empty\n", "shop.yaml:1: password_file: empty: is empty"),
        ("password_file: binary\n", "shop.yaml:1: password_file: binary: is not UTF-8 text"),
        ("password_file: large\n", "shop.yaml:1: password_file: large: is larger than 65536 bytes"),
        ("password_file: 3\n", "shop.yaml:1: password_file: must be the name of a file"),
        ("password: x\npassword_file: y\n", "shop.yaml:2: password_file: and password are both given; keep one"),
        ("code_file: x\n", "shop.yaml:1: code_file: is not a setting (did you mean keys_file?); allowed here: "),
    ],
)
def test_a_secret_file_that_cannot_be_had_is_refused(shop, tmp_path, text, message):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_text("x" * 70_000)

    assert refusal(shop, tmp_path, text).startswith(message)


def test_a_secret_is_never_repeated(shop, tmp_path):
    texts = ["password: [hush]\n", "hooks: hush\n", "window: {mode: hush}\n", "limit: hush\n", "keys: hush\n"]

    for text in texts:
        assert "hush" not in refusal(shop, tmp_path, text)
    loaded = shop("password: hush\nkeys: [hush]\nhooks:\n- {url: u, secret: hush}\n")
    assert "hush" not in repr(loaded) + str(loaded.settings) + effective_yaml(loaded)


def test_the_default_file_says_everything_and_loads_to_the_defaults(shop):
    text = default_yaml(Shop)

    assert shop(text).settings == Shop()
    assert "  # How long it is. (number, more than 0; seconds)\n  window_s: 60.0\n" in text
    assert "# Opens the door. (secret or null; or password_file)\npassword: null\n" in text
    assert "# - url:\n" in text
    assert "  mode: mean\n" in text


def test_the_examples_in_the_default_file_are_settings_too(shop):
    text = default_yaml(Shop)
    example = re.search(r"(# Each of them:\n(?:#.*\n)+)", text)[1]
    uncommented = re.sub(r"^# ", "", example.partition("\n")[2], flags=re.MULTILINE)

    assert shop("hooks:\n" + uncommented.replace("url:", "url: u")).settings.hooks == (Hook(url="u"),)


def test_what_is_in_force_is_shown_with_its_origin(shop, tmp_path):
    text = effective_yaml(shop("names: [x]\npassword: hush\n", WINDOW__MODE="mean")).replace(f"{tmp_path}/", "")

    assert "  window_s: 60.0  # default\n  step_s: 10.0  # default\n" in text
    assert "  mode: mean  # STREAM_GUARD__WINDOW__MODE\n" in text
    assert "allow: [a, b, c]  # default\n" in text
    assert "names: [x]  # shop.yaml:1\n" in text
    assert 'password: "***"  # shop.yaml:2\n' in text


def test_a_file_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: No such file or directory"):
        read_settings(Shop, tmp_path / "none.yaml", {})
    with pytest.raises(ConfigError, match="Is a directory"):
        read_settings(Shop, tmp_path, {})
