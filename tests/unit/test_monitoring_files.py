"""deploy/alerts.yaml and deploy/grafana.json: every metric in them exists, every expression is one, and alerts fire."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from observability.metrics import PREFIX, metric_names
from tests.architecture.laws import ROOT
from tests.prometheus import promtool_faults

ALERTS = (ROOT / "deploy/alerts.yaml").read_text("utf-8")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana.json").read_text("utf-8"))
FROM_THE_LIBRARY = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"}
NAMES = re.findall(r"alert: (\w+)", ALERTS)
INSTANCE = 'instance="one",job="qwen-imagine"'
WELL = {  # a bot that is well, by the minute
    "up": "1x60",
    "healthy": "1x60",
    "ready": "1x60",
    "database_up": "1x60",
    'images_stopped{reason="account_empty"}': "0x60",
    "ledger_faults": "0x60",
    "disk_free_bytes": "9e9x60",
    'discord_calls_total{method="PATCH",status="200"}': "0+60x60",
    'discord_calls_total{method="PATCH",status="429"}': "0+1x60",
    "oldest_due_seconds": "1x60",
    "line_images": "3x60",
    "task_slots": "4x60",
    'images_total{state="succeeded",ending=""}': "0+9x60",
    'images_total{state="failed",ending="declined"}': "0+9x60",
    'api_calls_total{call="poll",status="PENDING"}': "0+60x60",
    'api_calls_total{call="poll",status="RateLimited"}': "0+1x60",
    'api_credits_spent{period="day",kind="held"}': "20x60",
    'api_credits_spent{period="day",kind="charged"}': "50x60",
    'api_credits_limit{period="day"}': "100x60",
    "loop_stall_seconds_count": "0+240x60",
    'loop_stall_seconds_bucket{le="1.0"}': "0+240x60",
    "leases_taken_over_total": "0x60",
    "process_start_time_seconds": "0x60",
}
FAULTS: dict[str, dict[str, str]] = {  # what differs when this alert is to fire
    "ImagineDown": {"up": "0x60"},
    "ImagineNotHealthy": {"healthy": "0x60"},
    "ImagineDatabaseDown": {"database_up": "0x60"},
    "ImagineNotReady": {"ready": "0x60"},
    "ImagineImagesStopped": {'images_stopped{reason="account_empty"}': "1x60"},
    "ImagineLedgerDiffers": {"ledger_faults": "1x60"},
    "ImagineDiskNearlyFull": {"disk_free_bytes": "4e8x60"},
    "ImagineDiscordRefuses": {'discord_calls_total{method="PATCH",status="429"}': "0+200x60"},
    "ImagineWorkWaits": {"oldest_due_seconds": "61x60"},
    "ImagineLineLong": {"line_images": "41x60"},
    "ImagineImagesFail": {'images_total{state="failed",ending="service_failed"}': "0+5x60"},
    "ImagineOutcomeUnknown": {'images_total{state="unknown",ending="outcome_unknown"}': "_x50 1x10"},
    "ImagineApiRateLimited": {'api_calls_total{call="poll",status="RateLimited"}': "0+30x60"},
    "ImagineDiscordFails": {'discord_calls_total{method="PATCH",status="500"}': "0+90x60"},
    "ImagineSpendNearLimit": {'api_credits_spent{period="day",kind="charged"}': "61x60"},
    "ImagineLoopStalls": {'loop_stall_seconds_bucket{le="1.0"}': "0+239x60"},
    "ImagineLeasesTakenOver": {"leases_taken_over_total": "1x60", "process_start_time_seconds": "3000x60"},
}


def series(values: dict[str, str]) -> list[dict[str, str]]:
    """The input of `promtool test rules`: each name with its prefix and the labels of one instance."""
    found = []
    for name, each in values.items():
        metric, _, labels = name.partition("{")
        whole = metric if metric == "up" or metric.startswith("process_") else PREFIX + metric
        found.append({"series": f"{whole}{{{INSTANCE}{',' + labels if labels else '}'}", "values": each})
    return found


def rules_test(values: dict[str, str], firing: list[str]) -> dict[str, Any]:
    def expect(name: str) -> dict[str, Any]:
        count = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
        samples = [{"labels": "{}", "value": int(name in firing)}]
        return {"expr": count, "eval_time": "60m", "exp_samples": samples}

    return {"interval": "1m", "input_series": series(values), "promql_expr_test": [expect(name) for name in NAMES]}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("text", [ALERTS, "\n".join(expressions())], ids=["alerts", "dashboard"])
def test_every_metric_that_is_named_exists(text: str) -> None:
    named = set(re.findall(r"\b(?:qwen_imagine|process|python)_\w+", text))
    assert len(named) > 15
    assert named <= metric_names() | FROM_THE_LIBRARY, named - metric_names()


def test_every_metric_of_ours_is_in_the_dashboard() -> None:
    text = " ".join(expressions())
    shown = {name for name in metric_names() if re.search(rf"\b{name}\b", text)}
    series_of_histograms = {name for name in metric_names() if name.endswith(("_count", "_sum"))}
    assert metric_names() - shown - series_of_histograms == {f"{PREFIX}build_info"}


def test_the_dashboard_is_one_that_grafana_can_import() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    for panel in panels:
        assert panel["title"] and {*panel["gridPos"]} == {"h", "w", "x", "y"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["type"] == "row" or panel["targets"]
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len({*taken}), "no panel lies on another one"


def test_every_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": each.replace("$__rate_interval", "5m").replace("$job", "qwen-imagine")}
        for number, each in enumerate(expressions())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    assert promtool_faults("check", "rules", str(file)) == ""


def test_each_alert_fires_on_its_fault_alone_and_none_while_all_is_well(tmp_path: Path) -> None:
    assert [*FAULTS] == NAMES
    assert promtool_faults("check", "rules", str(ROOT / "deploy/alerts.yaml")) == ""
    tests = [rules_test(WELL, [])]
    tests += [rules_test(WELL | differs, [name]) for name, differs in FAULTS.items()]
    file = tmp_path / "tests.yaml"
    content = {"rule_files": [str(ROOT / "deploy/alerts.yaml")], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(content), "utf-8")
    assert promtool_faults("test", "rules", str(file)) == ""


def test_the_docs_say_of_each_alert_what_it_means_and_what_to_do() -> None:
    section = (ROOT / "docs/operating.md").read_text("utf-8").partition("## Health, metrics and their alerts\n")[2]
    rows = re.findall(r"^\| `(Imagine\w+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    assert [name for name, _, _ in rows] == NAMES
    assert all(meaning and action for _, meaning, action in rows)
