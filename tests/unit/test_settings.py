"""The settings: all faults are reported at once, in sentences without secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credits.allowance import CreditPeriod
from discord_api.shards import ShardSettings
from settings import (
    PREFIXES,
    READABLE_BY_GROUP,
    SETTINGS,
    SQLITE_IS_ALONE,
    Loaded,
    Settings,
    SettingsError,
    default_text,
    load_settings,
)
from store.hosts import HOSTS, VOLUME_VARIABLES

GOOD = {"DISCORD_TOKEN": "canary-discord-token", "QWEN_API_KEY": "sk-canary-key"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the environment variables and .env file of this machine."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        of_a_host = any(name in variables for variables in HOSTS.values()) or name in VOLUME_VARIABLES
        if name in SETTINGS or name.startswith(PREFIXES) or of_a_host:
            monkeypatch.delenv(name)


def load_all(values: Mapping[str, str]) -> Loaded:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in values.items():
            environment.setenv(name, value)
        return load_settings()


def load(**changes: str) -> Settings:
    return load_all({**GOOD, **changes}).settings


def faults_of(**changes: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(**changes)
    return caught.value.faults


def test_settings_load_with_only_the_two_secrets() -> None:
    settings = load()
    assert settings.discord_api_url == "https://discord.com/api/v10"
    assert settings.qwen_api_url == "https://qwen-image-2512.org/api"
    assert settings.credits_per_period == 50
    assert settings.credit_period is CreditPeriod.DAY
    assert settings.timezone.key == "UTC"
    assert settings.max_images_per_user == 3
    assert settings.requests_per_minute == 10
    assert settings.task_deadline_seconds == 900
    assert settings.owner_ids == ()
    assert settings.retention_days == 365


@pytest.mark.parametrize("name", ["SUPPORT_URL", "PRIVACY_URL", "TERMS_URL"])
def test_a_page_may_be_any_public_https_address(name: str) -> None:
    for url in ("https://example.com", "https://discord.gg/abc", "https://a.b-c.example:8443/x/y.html?v=2&l=en#top"):
        assert getattr(load(**{name: f" {url} "}), name.lower()) == url
    assert getattr(load(**{name: " "}), name.lower()) == ""


@pytest.mark.parametrize(
    "url",
    ["http://example.com/x", "example.com", "https://", "https://localhost/x", "https://me:pw@example.com/", "https://x",
     "https://example.com/a b", "https://example.com/a>b", "https://example.com/`a", "https://example.com:0/",
     "https://example.com/ä", "javascript:alert(1)", "https://[::1", "https://example.com:99999/", "https://a..b/"],
)  # fmt: skip
def test_a_page_that_nobody_could_open_or_that_breaks_markdown_is_refused(url: str) -> None:
    assert faults_of(TERMS_URL=url) == (
        "TERMS_URL must be the https address of a page, such as https://example.com/privacy.",
    )


def test_the_operators_name_is_one_line() -> None:
    assert load(OPERATOR_NAME=" Zoë & Co. ").operator_name == "Zoë & Co."
    assert faults_of(OPERATOR_NAME="a\nb") == ("OPERATOR_NAME must be one line of at most 200 characters.",)
    assert faults_of(OPERATOR_CONTACT="x" * 201) == ("OPERATOR_CONTACT must be one line of at most 200 characters.",)
    assert faults_of(PRIVACY_URL=f"https://example.com/{'x' * 300}") == (
        "PRIVACY_URL must have at most 300 characters.",
    )


def test_lists_and_names_may_have_spaces_and_any_case() -> None:
    settings = load(
        OWNER_IDS=" 1, 281474976710656000 ", QWEN_IMAGE_HOSTS="cdn.example.com, 127.0.0.1:9", CREDIT_PERIOD="Week",
        LOG_LEVEL="debug", LOG_FORMAT=" JSON", TIMEZONE="Europe/Berlin", QWEN_API_URL="http://127.0.0.1:1/api/",
    )  # fmt: skip
    assert settings.owner_ids == (1, 281474976710656000)
    assert settings.qwen_image_hosts == ("cdn.example.com", "127.0.0.1:9")
    assert settings.credit_period is CreditPeriod.WEEK
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert settings.qwen_api_url == "http://127.0.0.1:1/api"


def test_all_faults_are_reported_at_once() -> None:
    faults = faults_of(
        DISCORD_API_URL="discord.com", QWEN_MAX_TASKS="many", CREDIT_PERIOD="fortnight", TIMEZONE="Mars/Olympus",
        OWNER_IDS="me", DATABASE_URL="mysql://x/y", LOG_LEVEL="LOUD", TASK_DEADLINE_SECONDS="5", QWEN_IMAGE_HOSTS="https://x",
    )  # fmt: skip
    assert [fault.split()[0].strip(":") for fault in faults] == [
        "DISCORD_API_URL", "QWEN_IMAGE_HOSTS", "QWEN_MAX_TASKS", "DATABASE_URL", "CREDIT_PERIOD", "TIMEZONE",
        "TASK_DEADLINE_SECONDS", "OWNER_IDS", "LOG_LEVEL",
    ]  # fmt: skip
    assert all(fault.endswith(".") for fault in faults)


def test_an_address_without_https_is_refused() -> None:
    assert load(PUBLIC_URL="https://imagine.example.com/", PORT="9000").public_url == "https://imagine.example.com"
    assert (load(PORT="9000").port, load(PORT="").port) == (9000, None)
    assert faults_of(PUBLIC_URL="http://imagine.example.com", PORT="0") == (
        "PUBLIC_URL must start with https://: a callback's address is a secret.",
        "PORT must be at least 1.",
    )


@pytest.mark.parametrize(
    "rest",
    [
        "host:99999/api", "host:0/api", "host:port/api", "a..b/api", ".example.com", "ho st/api", "host/a b",
        "host\t/api", "host\\api", "[::1/api", "-" * 64, f"{'a' * 64}.example.com", "ho\u00adst\u200b.example.com/\x7f",
        "ex ample.com", "a/b\nc", "exa%mple.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("name", "scheme"), [("QWEN_API_URL", "https"), ("DISCORD_GATEWAY_URL", "wss")])
def test_an_address_that_cannot_be_called_is_refused_with_a_sentence(name: str, scheme: str, rest: str) -> None:
    assert faults_of(**{name: f"{scheme}://{rest}"}) == (f"{name} must be an address that starts with {scheme}://.",)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://example.com/api", "QWEN_API_URL must be an address that starts with https://."),
        *(
            (f"https://{rest}", "QWEN_API_URL must hold no user name, password, ? or # part.")
            for rest in ("me@example.com", ":secret@example.com", "example.com/api?a=1", "example.com/api#a")
        ),
        (
            "http://example.com/api",
            "QWEN_API_URL must start with https://; http:// is only for this machine (127.0.0.1, localhost) and for "
            "names without dots, such as a container's.",
        ),
    ],
)
def test_an_address_with_another_scheme_or_more_than_a_path_is_refused(address: str, sentence: str) -> None:
    assert faults_of(QWEN_API_URL=address) == (sentence,)


@pytest.mark.parametrize(
    "host", ["example.com:8443", "example.com.", "bücher.example", "[2001:db8::1]:443", "a_b.example"]
)
def test_an_address_that_can_be_called_is_accepted(host: str) -> None:
    assert load(DISCORD_API_URL=f"https://{host}/api").discord_api_url == f"https://{host}/api"


def test_a_missing_token_is_reported_with_make_try() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.faults == (
        "DISCORD_TOKEN is missing: put the bot's token into .env (README says how to get one), or run "
        "`make try` to try the bot in a browser without any account.",
        "QWEN_API_KEY is missing: put it into .env (README says how to get one).",
    )
    assert str(caught.value) == "; ".join(caught.value.faults)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=8).filter(str.strip))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_fault_and_no_repr_ever_holds_a_secret(secret: str) -> None:
    try:
        loaded = load(DISCORD_TOKEN=f"canary{secret}", QWEN_API_KEY=f"canary{secret}", QWEN_MAX_TASKS="0")
    except SettingsError as error:
        assert "canary" not in str(error)
    else:
        assert "canary" not in repr(loaded)
    assert "canary" not in repr(load(DATABASE_URL="postgresql://u:canary@h/n"))


def test_an_unknown_name_gives_a_warning_with_the_nearest_setting() -> None:
    loaded = load_all({**GOOD, "QWEN_API_KEI": "x", "DISCORD_TOKENS": "x", "QWEN_2512": "x"})
    assert loaded.warnings == (
        "DISCORD_TOKENS is not a setting and is ignored; did you mean DISCORD_TOKEN?",
        "QWEN_2512 is not a setting and is ignored.",
        "QWEN_API_KEI is not a setting and is ignored; did you mean QWEN_API_KEY?",
    )


def test_the_environment_overrides_the_file_and_empty_means_default(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("DISCORD_TOKEN=from-file\nQWEN_API_KEY=sk-file\nMAX_QUEUE=7\nCREDIT_PERIOD=\n", "utf-8")
    env_file.chmod(0o600)
    settings = load_all({"DISCORD_TOKEN": "from-environment"}).settings
    assert settings.discord_token == "from-environment"
    assert settings.qwen_api_key == "sk-file"
    assert settings.max_queue == 7
    assert settings.credit_period is CreditPeriod.DAY


@pytest.mark.parametrize(
    ("variable", "host"), [(variable, host) for host, variables in HOSTS.items() for variable in variables]
)
def test_sqlite_is_refused_on_a_temporary_disk_unless_a_setting_allows_it(variable: str, host: str) -> None:
    assert faults_of(**{variable: "x"}) == (
        f"DATABASE_URL is a SQLite file, and {host} empties a disk at every restart: credits and images in the making "
        "would be lost. Name a PostgreSQL database, or, where the file is on a volume that is kept, set "
        "ALLOW_EPHEMERAL_DATABASE=yes.",
    )
    assert load(**{variable: "x"}, ALLOW_EPHEMERAL_DATABASE="yes").allow_ephemeral_database
    assert load(**{variable: "x"}, DATABASE_URL="postgres://u:p@h/n").database_url == "postgres://u:p@h/n"


@pytest.mark.parametrize(
    ("mounted_at", "file", "is_kept"),
    [
        ("/data", "/data/imagine.db", True),
        ("/data/", "/data/deep/imagine.db", True),
        ("/", "/data/imagine.db", True),
        ("/data", "/data/../app/imagine.db", False),
        ("/data", "/database/imagine.db", False),
        ("/data", "data/imagine.db", False),
        ("", "/data/imagine.db", False),
    ],
)
def test_a_file_on_a_railway_volume_is_accepted(mounted_at: str, file: str, is_kept: bool) -> None:
    railway = {"RAILWAY_ENVIRONMENT_ID": "x", "RAILWAY_VOLUME_MOUNT_PATH": mounted_at}
    address = f"sqlite:///{file}"
    if is_kept:
        assert load(**railway, DATABASE_URL=address).database_url == address
    else:
        assert "Railway" in faults_of(**railway, DATABASE_URL=address)[0]


def test_a_relative_file_is_on_the_volume_that_holds_the_current_folder(tmp_path: Path) -> None:
    assert load(RAILWAY_SERVICE_ID="x", RAILWAY_VOLUME_MOUNT_PATH=str(tmp_path)).database_url.startswith(
        "sqlite:///data"
    )


ADDRESSES = {"QWEN_API_URL": "http", "DISCORD_API_URL": "http", "DISCORD_GATEWAY_URL": "ws"}


@pytest.mark.parametrize(("name", "plain"), ADDRESSES.items())
@pytest.mark.parametrize("host", ["127.0.0.1:8080", "127.9.9.9", "localhost", "[::1]:9", "image-api:8000", "api_2"])
def test_an_unencrypted_address_is_accepted_on_the_same_machine(name: str, plain: str, host: str) -> None:
    assert getattr(load(**{name: f" {plain}://{host}/x "}), name.lower()) == f"{plain}://{host}/x"


@pytest.mark.parametrize(("name", "plain"), ADDRESSES.items())
@pytest.mark.parametrize(
    "host",
    ["discord.com", "10.0.0.5", "192.168.1.9:80", "[fd00::1]", "169.254.169.254", "127.1", "167772165", "0xa000005",
     "api.", "localhost.example.com", "0.0.0.0"],
)  # fmt: skip
def test_an_unencrypted_address_is_refused_elsewhere(name: str, plain: str, host: str) -> None:
    (fault,) = faults_of(**{name: f"{plain}://{host}/x"})
    assert fault.startswith(f"{name} must start with {plain}s://; {plain}:// is only for this machine")
    load(**{name: f"{plain}s://{host}/x"})


@pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such bits")
@pytest.mark.parametrize(
    ("mode", "refused"), [(0o600, False), (0o640, False), (0o620, False), (0o400, False), (0o644, True), (0o602, True)]
)
def test_an_env_file_readable_by_all_is_refused_and_one_readable_by_the_group_gives_a_warning(
    tmp_path: Path, mode: int, refused: bool
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("MAX_QUEUE=7\n", "utf-8")
    env_file.chmod(mode)
    if not refused:
        loaded = load_all(GOOD)
        assert loaded.settings.max_queue == 7
        assert loaded.warnings == ((READABLE_BY_GROUP,) if mode & 0o060 else ())
        return
    faults = faults_of(LOG_LEVEL="LOUD")
    assert "chmod 600 .env" in faults[0]
    assert faults[1].startswith("LOG_LEVEL")


def test_all_secrets_are_given_to_the_redaction() -> None:
    assert set(load(DATABASE_URL="postgresql://u:pa%40ss@h/n").secrets()) == {*GOOD.values(), "pa%40ss"}
    assert set(load(DATABASE_URL="sqlite:///x.db").secrets()) == set(GOOD.values())
    assert load(MOVE_TO_DATABASE_URL="postgresql://u:word@h/n").secrets()[-1] == "word"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "0", "PORT must be at least 1."),
        ("PORT", "65536", "PORT must be at most 65535."),
        ("PORT", "8080.5", "PORT must be a whole number."),
        ("PORT", "9" * 5000, "PORT must be a whole number."),
        *(
            (name, "two words", f"{name} must be one word of plain letters, digits and signs, with no spaces inside.")
            for name in GOOD
        ),
        ("ALLOW_EPHEMERAL_DATABASE", "perhaps", "ALLOW_EPHEMERAL_DATABASE must be yes or no."),
        ("CREDIT_PERIOD", "fortnight", "CREDIT_PERIOD must be one of hour, day, week, month, never."),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR."),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be one of text, json."),
        ("TIMEZONE", "Mars/Olympus", "TIMEZONE must be a time zone such as UTC or Europe/Berlin."),
        ("DATABASE_URL", "postgres://h:0/b", "The port in DATABASE_URL must be a number from 1 to 65535."),
        ("PUBLIC_URL", "https://x/y", "PUBLIC_URL must hold a host and perhaps a port, and nothing after them."),
    ],
)
def test_a_fault_is_one_sentence_with_the_name_of_its_setting(name: str, value: str, sentence: str) -> None:
    assert faults_of(**{name: value}) == (sentence,)


def test_an_env_file_that_is_no_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"DISCORD_TOKEN=\xff")
    (tmp_path / ".env").chmod(0o600)
    assert faults_of() == (".env can't be read (UnicodeDecodeError).",)


def test_a_database_password_with_any_character_is_given_to_the_redaction() -> None:
    assert load(DATABASE_URL="postgres://me:a:b@c\nd@host/bot").secrets()[-1] == "a:b@c\nd"
    assert len(load(DATABASE_URL="postgres://me@host/bot").secrets()) == 2


@dataclass(frozen=True)
class Switches:
    off: bool = False
    on: bool = True


def test_the_default_of_a_switch_is_written_as_yes_or_no() -> None:
    assert [default_text(of_setting) for of_setting in fields(Switches)] == ["no", "yes"]


POSTGRESQL = {"DATABASE_URL": "postgresql://u:p@h/n"}


def test_without_shard_settings_discord_says_how_many_shards_there_are_and_all_are_here() -> None:
    assert load().shards is None


@pytest.mark.parametrize(
    ("changes", "ids", "text"),
    [
        ({"SHARD_COUNT": "4"}, range(4), "shards 0-3 of 4"),
        ({"SHARD_COUNT": "1"}, range(1), "shard 0 of 1"),
        ({"SHARD_COUNT": "6", "SHARD_IDS": "2-3"}, range(2, 4), "shards 2-3 of 6"),
        ({"SHARD_COUNT": "6", "SHARD_IDS": " 3, 1 - 2 ,4"}, range(1, 5), "shards 1-4 of 6"),
        ({"SHARD_COUNT": "6", "SHARD_IDS": "5"}, range(5, 6), "shard 5 of 6"),
        ({"SHARD_COUNT": "6", "SHARD_PROCESS": "2", "SHARD_PROCESSES": "3"}, range(4, 6), "shards 4-5 of 6"),
    ],
)
def test_the_shards_of_a_process_are_a_range_of_all(changes: dict[str, str], ids: range, text: str) -> None:
    shards = load(**POSTGRESQL, **changes).shards
    assert shards is not None
    assert (shards.ids, str(shards)) == (ids, text)


@given(st.integers(1, 40), st.integers(1, 200))
def test_processes_divide_the_shards_evenly_without_a_gap(processes: int, more: int) -> None:
    count = processes + more
    divided = [ShardSettings(count, (), process, processes).chosen() for process in range(processes)]
    ranges = [shards.ids for shards in divided if shards is not None]
    assert [shard_id for ids in ranges for shard_id in ids] == list(range(count))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SHARD_COUNT": "0"}, "SHARD_COUNT must be at least 1."),
        ({"SHARD_COUNT": "some"}, "SHARD_COUNT must be a whole number."),
        *(
            ({"SHARD_COUNT": "6", "SHARD_IDS": ids}, "SHARD_IDS must be a range of shards, such as 0-3.")
            for ids in ("all", "3-0", "-1", "0-", "0-3-4", "0;1", ",", "0-999999")
        ),
        ({"SHARD_COUNT": "6", "SHARD_IDS": "0-2,2-3"}, "SHARD_IDS names shard 2 twice."),
        (
            {"SHARD_COUNT": "6", "SHARD_IDS": "0-1,3"},
            "SHARD_IDS has a gap between 1 and 3: a process takes one range, such as 0-3.",
        ),
        (
            {"SHARD_COUNT": "6", "SHARD_IDS": "4-6"},
            "SHARD_IDS must end at 5 or before, since SHARD_COUNT is 6.",
        ),
        *(
            (
                changes,
                "SHARD_COUNT is missing: it is the number of shards over all processes, the same in each of them.",
            )
            for changes in ({"SHARD_IDS": "0-3"}, {"SHARD_PROCESS": "0", "SHARD_PROCESSES": "1"})
        ),
        (
            {"SHARD_COUNT": "6", "SHARD_IDS": "0-1", "SHARD_PROCESS": "0", "SHARD_PROCESSES": "3"},
            "SHARD_IDS and SHARD_PROCESS say the same in two ways: set one of them.",
        ),
        (
            {"SHARD_COUNT": "6", "SHARD_PROCESS": "0"},
            "SHARD_PROCESSES is missing: SHARD_PROCESS is one of so many.",
        ),
        (
            {"SHARD_COUNT": "6", "SHARD_PROCESSES": "3"},
            "SHARD_PROCESS is missing: the number of this process, from 0 to 2.",
        ),
        (
            {"SHARD_COUNT": "6", "SHARD_PROCESS": "3", "SHARD_PROCESSES": "3"},
            "SHARD_PROCESS must be at most 2, since SHARD_PROCESSES is 3.",
        ),
        (
            {"SHARD_COUNT": "2", "SHARD_PROCESS": "0", "SHARD_PROCESSES": "3"},
            "SHARD_PROCESSES must be at most 2, since SHARD_COUNT is 2; `python bot.py worker` starts a process "
            "without shards.",
        ),
    ],
)  # fmt: skip
def test_a_fault_in_the_shard_settings_is_one_sentence(changes: dict[str, str], sentence: str) -> None:
    assert faults_of(**POSTGRESQL, **changes) == (sentence,)


@pytest.mark.parametrize(
    "changes",
    [{"SHARD_COUNT": "6", "SHARD_IDS": "0-4"}, {"SHARD_COUNT": "6", "SHARD_PROCESS": "0", "SHARD_PROCESSES": "2"}],
)
def test_several_processes_on_a_sqlite_file_are_refused(changes: dict[str, str]) -> None:
    assert faults_of(**changes) == (SQLITE_IS_ALONE,)


def test_a_sqlite_file_may_have_all_shards_in_one_process() -> None:
    assert load(SHARD_COUNT="6", SHARD_IDS="0-5").shards == load(SHARD_COUNT="6").shards
    assert load(SHARD_COUNT="6", SHARD_PROCESS="0", SHARD_PROCESSES="1").shards == load(SHARD_COUNT="6").shards


def test_a_process_that_is_of_no_use_alone_is_refused_on_a_sqlite_file() -> None:
    with pytest.raises(SettingsError) as caught, pytest.MonkeyPatch.context() as environment:
        for name, value in GOOD.items():
            environment.setenv(name, value)
        load_settings(alone=False)
    assert caught.value.faults == (SQLITE_IS_ALONE,)
