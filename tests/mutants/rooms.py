"""The modules that are mutated, and the tests that must find it: for each room its modules, and its tests alone."""

from __future__ import annotations

from typing import NamedTuple


class Room(NamedTuple):
    """Paths from the root of the tree; of a test module also one test, after "::". A test runs on SQLite only."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "credits": Room(
        (
            *("credits/ledger.py", "credits/records.py", "credits/allowance.py", "credits/check.py"),
            *("credits/errors.py", "credits/model.py"),
        ),
        (
            *("tests/unit/test_allowance.py", "tests/contract/test_ledger.py", "tests/contract/test_refill.py"),
            *("tests/contract/test_bonus.py", "tests/contract/test_tiers.py", "tests/contract/test_ledger_check.py"),
        ),
    ),
    "model": Room(
        (
            *("generations/model.py", "generations/errors.py", "generations/prices.py"),
            *("generations/delivery_result.py", "people/model.py", "discord_api/snowflakes.py"),
        ),
        (
            *("tests/unit/test_model.py", "tests/contract/test_service.py", "tests/contract/test_claims.py"),
            "tests/unit/test_snowflakes.py",
            "tests/contract/test_privacy.py::test_a_selected_value_is_parsed",
            "tests/contract/test_privacy.py::test_a_value_that_is_not_offered_is_refused",
        ),
    ),
    "permissions": Room(("discord_api/command_permissions.py",), ("tests/unit/test_command_permissions.py",)),
    "guilds": Room(
        ("discord_api/guild_removals.py", "discord_api/guild_list.py"),
        ("tests/unit/test_guild_removals.py", "tests/integration/test_guild_list.py"),
    ),
    "limits": Room(
        (
            *("limits/audit.py", "limits/check.py", "limits/errors.py", "limits/model.py", "limits/records.py"),
            *("limits/request_limits.py", "limits/service.py", "limits/spend_alerts.py", "limits/usage.py"),
            "limits/words.py",
        ),
        (
            *("tests/unit/test_blocked_words.py", "tests/unit/test_limit_checks.py", "tests/contract/test_limits.py"),
            *("tests/contract/test_usage.py", "tests/contract/test_spend_alerts.py"),
        ),
    ),
    "reports": Room(
        ("reports/errors.py", "reports/model.py", "reports/records.py", "reports/service.py"),
        ("tests/contract/test_reports.py",),
    ),
    "charts": Room(
        ("charts/labels.py", "charts/plot.py", "charts/records.py", "charts/service.py", "charts/usage_report.py"),
        ("tests/unit/test_usage_report.py", "tests/unit/test_usage_plot.py", "tests/contract/test_usage_report.py"),
    ),
    "processes": Room(
        (
            *("processes/counts.py", "processes/identify_turns.py", "processes/model.py", "processes/records.py"),
            *("processes/service.py", "processes/shard_coverage.py", "processes/status.py"),
        ),
        (
            *("tests/unit/test_identify_turns.py", "tests/unit/test_shard_coverage.py"),
            *("tests/contract/test_identify_turns.py", "tests/contract/test_processes.py"),
            *("tests/contract/test_gauges.py", "tests/contract/test_status.py"),
        ),
    ),
    "schedule": Room(
        (
            "backoff.py",
            "generations/poll_schedule.py",
            "generations/worker/progress.py",
            "generations/worker/throttle.py",
        ),
        (
            *("tests/unit/test_callbacks.py", "tests/unit/test_poll_schedule.py", "tests/unit/test_progress.py"),
            *("tests/unit/test_backoff.py", "tests/unit/test_throttle.py"),
        ),
    ),
    "records": Room(
        (
            *("generations/records/personal_data.py", "generations/records/cards.py", "generations/records/claims.py"),
            *("generations/records/line.py", "generations/records/moves.py"),
            *("generations/records/rows.py", "generations/records/search.py", "generations/records/stale_edits.py"),
            "generations/search_words.py",
        ),
        (
            *("tests/contract/test_history.py", "tests/contract/test_claims.py", "tests/contract/test_freshness.py"),
            *("tests/contract/test_kept_orders.py", "tests/contract/test_line.py", "tests/contract/test_privacy.py"),
            *("tests/contract/test_removed_cards.py", "tests/contract/test_service.py"),
            *("tests/contract/test_token_only.py", "tests/contract/test_history_search.py"),
            "tests/unit/test_search_words.py",
        ),
    ),
    "callbacks": Room(
        ("generations/callbacks.py", "generations/records/callbacks.py"),
        (
            *("tests/unit/test_callbacks.py", "tests/contract/test_callback_records.py"),
            *("tests/worker/test_worker_callbacks.py", "tests/integration/test_web.py"),
        ),
    ),
    "protocol": Room(
        (
            *("qwen/answers.py", "qwen/challenges.py", "qwen/cleaning.py", "qwen/errors.py", "qwen/models.py"),
            *("qwen/protocol.py", "qwen/public_url.py", "qwen/refusals.py", "qwen/retry_after.py"),
            "qwen/service_url.py",
        ),
        (
            *("tests/unit/test_qwen_protocol.py", "tests/unit/test_qwen_models.py", "tests/unit/test_qwen_cleaning.py"),
            *("tests/unit/test_qwen_refusals.py", "tests/unit/test_settings.py", "tests/unit/test_callbacks.py"),
        ),
    ),
    "client": Room(("qwen/client.py",), ("tests/integration/test_qwen_client.py",)),
    "images": Room(
        (
            "qwen/addresses.py",
            "qwen/images.py",
            "qwen/image_header.py",
            "images/reencoded_image.py",
            "images/shrinking.py",
        ),
        (
            *(
                "tests/unit/test_qwen_addresses.py",
                "tests/unit/test_qwen_image_header.py",
                "tests/unit/test_shrinking.py",
            ),
            *("tests/integration/test_qwen_images.py", "tests/hostile_input/test_the_download_guard.py"),
        ),
    ),
    "settings": Room(
        ("setting_parsers.py", "settings.py", "store/address.py", "store/errors.py", "store/hosts.py"),
        (
            *("tests/unit/test_settings.py", "tests/unit/test_store_address.py"),
            "tests/architecture/test_prose.py::test_env_example_is_what_the_settings_print",
            "tests/architecture/test_prose.py::test_readme_holds_the_settings_table_word_for_word",
        ),
    ),
    "observability": Room(
        ("observability/formatters.py", "observability/redaction.py", "observability/repeats.py"),
        ("tests/unit/test_log_lines.py", "tests/unit/test_redaction.py", "tests/unit/test_repeats.py"),
    ),
}

_WHOLE_BOT = "its tests run a whole bot, and each mutant would take them all"
NOT_MUTATED = {
    **dict.fromkeys(("bot", "cogs", "command_line", "services", "ui", "web"), _WHOLE_BOT),
    "doctor": "its judgements are tested by faults made on purpose, over all of it at once",
    "policies": "texts, and files that its tests have a process of the bot write",
    "version": "one constant",
}
