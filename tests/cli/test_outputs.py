"""How outputs are named, and what is refused before any work."""

from pathlib import Path

import pytest

from perceiver_music.cli.outputs import (
    FIELDS,
    ExistingOutputs,
    NameParts,
    OutputNames,
    refuse_collisions,
)
from perceiver_music.errors import OutputExistsError, UsageError

DEFAULT = "{stem}_continued_{seed}.mid"
PARTS = NameParts(stem="waltz", index=2, seed=7, checkpoint="maestro")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "numbered", "path"),
    [
        (None, False, "waltz_continued_7.mid"),
        (None, True, "waltz_continued_7_2.mid"),
        ("out.mid", False, "out.mid"),
        ("out.mid", True, "out_2.mid"),
        ("new/", False, "new/waltz_continued_7.mid"),
        ("there", False, "there/waltz_continued_7.mid"),
        ("{stem}-{index}.mid", True, "waltz-2.mid"),
        ("{checkpoint}/{stem}_{seed}.mid", False, "maestro/waltz_7.mid"),
        ("{index:03d}.mid", True, "002.mid"),
        ("{{braces}}.mid", False, "{braces}.mid"),
    ],
)
def test_names(wanted: str | None, numbered: bool, path: str) -> None:
    Path("there").mkdir()
    names = OutputNames(wanted=wanted, default=DEFAULT, numbered=numbered, fields=FIELDS)
    assert names.path(PARTS) == Path(path)


@pytest.mark.parametrize(
    "wanted",
    [
        *("", "{nope}.mid", "{stem", "{0}.mid", "{}.mid", "{stem.x}.mid"),
        *("{seed:>99999999999}.mid", "{seed:{stem}}.mid"),  # the first would fill the memory
    ],
)
def test_wrong_templates(wanted: str) -> None:
    with pytest.raises(UsageError):
        OutputNames(wanted=wanted, default=DEFAULT, fields=FIELDS)


@pytest.mark.parametrize(("field", "why"), [("seed", "means nothing"), ("foo", "is not known")])
def test_a_field_that_the_command_has_not_is_not_among_those_it_may_have(
    field: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        OutputNames(wanted=f"{{{field}}}.wav", default="{stem}.wav")
    assert str(caught.value.hint).startswith("Use {stem}; write '{{' and '}}'")


def test_a_format_that_does_not_fit() -> None:
    with pytest.raises(UsageError, match="template"):
        OutputNames(wanted="{stem:03d}.wav", default="{stem}.wav").path(NameParts(stem="x"))


def test_existing_outputs() -> None:
    there, absent = Path("there.mid"), Path("absent.mid")
    there.write_bytes(b"")
    assert ExistingOutputs(force=False, skip=True).should_skip(there)
    assert not ExistingOutputs(force=True, skip=False).should_skip(there)
    assert not ExistingOutputs(force=False, skip=False).should_skip(absent)
    with pytest.raises(OutputExistsError):
        ExistingOutputs(force=False, skip=False).should_skip(there)
    with pytest.raises(UsageError):
        ExistingOutputs(force=True, skip=True)


def test_two_items_may_not_write_one_file() -> None:
    refuse_collisions([[Path("a")], [Path("b")]])
    Path("link").symlink_to("a")
    for other in (Path("a"), Path("x/../a"), Path("link")):
        with pytest.raises(UsageError, match="two items"):
            refuse_collisions([[Path("a")], [other]])


def test_inputs_of_one_name_are_not_sent_where_they_were() -> None:
    outputs = [[Path("flat/x.mid")], [Path("flat/x.mid")]]
    with pytest.raises(UsageError) as caught:
        refuse_collisions(outputs, inputs=[Path("a/x.mid"), Path("b/x.mid")])
    assert str(caught.value.hint).startswith("Both are called x: run them one at a time")
    with pytest.raises(UsageError) as caught:
        refuse_collisions(outputs, inputs=[Path("a/x.mid"), Path("a/y.mid")])
    assert caught.value.hint == "Use -o FOLDER/ or a template with {stem}."


def test_an_item_may_write_over_its_own_input_only() -> None:
    refuse_collisions([[Path("a")]], inputs=[Path("a")])
    with pytest.raises(UsageError, match="before it is read"):
        refuse_collisions([[Path("b")], [Path("c")]], inputs=[Path("a"), Path("b")])


def test_no_field_leads_into_another_folder() -> None:
    names = OutputNames(wanted="takes/{checkpoint}_{stem}.mid", default=DEFAULT, fields=FIELDS)
    stranger = NameParts(stem="a/b\nc", checkpoint="../../../etc/x\0y", seed=7)
    assert names.path(stranger) == Path("takes/.._.._.._etc_x_y_a_b_c.mid")
