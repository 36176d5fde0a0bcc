#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""make-dashboard.py [--check]: writes weir-dashboard.json from the rows below."""
import json
import os
import sys

ROWS = [
    ("Is it inspecting?", [
        ("Wire", "stat", [('weir_wire_state == 1', "{{link}} {{state}}")], "none"),
        ("Self-test", "stat", [("weir_selftest_ok", "{{instance}}")], "none"),
        ("Doctor: checks not ok", "table", [("weir_doctor_check_ok == 0", "{{check}}")], "none"),
        ("Unscanned bytes", "timeseries", [('rate(weir_wire_bytes_total{fate="open"}[1m])', "{{port}} wire open"),
                                           ("rate(weir_unscanned_bytes_total[1m])", "{{cause}}")], "Bps"),
    ]),
    ("Traffic", [
        ("Received", "timeseries", [("8 * rate(weir_port_rx_bytes_total[1m])", "{{port}}")], "bps"),
        ("Lost by ports", "timeseries", [("rate(weir_port_rx_missed_total[1m])", "{{port}} missed"),
                                         ("rate(weir_port_rx_nombuf_total[1m])", "{{port}} no buffer"),
                                         ("rate(weir_port_tx_errors_total[1m])", "{{port}} tx")], "pps"),
        ("Connections and uploads", "timeseries", [("sum by (instance) (weir_connections)", "connections"),
                                                   ("sum by (instance) (weir_uploads_active)", "uploads")], "short"),
        ("Uploads by framing", "timeseries", [("rate(weir_uploads_total[1m])", "{{framing}}")], "ops"),
    ]),
    ("Verdicts", [
        ("Verdicts", "timeseries", [("sum by (verdict, action) (rate(weir_verdicts_total[1m]))",
                                     "{{verdict}} {{action}}")], "ops"),
        ("Not scanned in full, by cause", "timeseries",
         [('sum by (cause) (rate(weir_verdicts_total{verdict="incomplete"}[5m]))', "{{cause}}")], "ops"),
        ("Verdict delay", "timeseries",
         [("histogram_quantile(0.5, sum by (le) (rate(weir_verdict_delay_seconds_bucket[5m])))", "p50"),
          ("histogram_quantile(0.99, sum by (le) (rate(weir_verdict_delay_seconds_bucket[5m])))", "p99")], "s"),
        ("Would block (observe, shadow)", "timeseries", [("rate(weir_would_block_total[5m])", "{{service}}")], "ops"),
    ]),
    ("Workers", [
        ("Busy by stage", "timeseries",
         [("rate(weir_worker_busy_cycles_total[1m]) / on (worker, instance) group_left "
           "rate(weir_worker_cycles_total[1m])", "{{worker}} {{stage}}")], "percentunit"),
        ("Longest turn", "timeseries", [("weir_worker_longest_turn_seconds", "{{worker}}")], "s"),
        ("Held and kept", "timeseries", [("weir_hold_bytes", "held"), ("weir_kept_bytes", "kept"),
                                         ("weir_hold_budget_bytes", "budget")], "bytes"),
        ("Reasons", "timeseries", [("topk(10, rate(weir_reasons_total[5m]))", "{{reason}}")], "ops"),
    ]),
    ("Bundles and records", [
        ("Bundles", "table", [("weir_bundle_info", "{{bundle}} {{version}}")], "none"),
        ("Expires in", "stat", [("weir_bundle_expires_timestamp_seconds - time()", "{{bundle}}")], "s"),
        ("Records", "timeseries", [("rate(weir_records_written_total[1m])", "written"),
                                   ("rate(weir_records_lost_total[1m])", "lost")], "ops"),
        ("List hits", "timeseries", [("sum by (list, mode) (rate(weir_list_hits_total[5m]))", "{{list}} {{mode}}")],
         "ops"),
    ]),
]


def panels():
    out, n, y = [], 0, 0
    for title, row in ROWS:
        n += 1
        out.append({"id": n, "type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        for i, (name, kind, exprs, unit) in enumerate(row):
            n += 1
            out.append({
                "id": n, "type": kind, "title": name, "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": 6 * i, "y": y, "w": 6, "h": 7},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "targets": [{"refId": chr(65 + k), "expr": e, "legendFormat": legend,
                             "instant": kind != "timeseries"} for k, (e, legend) in enumerate(exprs)]})
        y += 7
    return out


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weir-dashboard.json")
    doc = {"title": "Weir", "uid": "weir", "schemaVersion": 38, "version": 1, "refresh": "10s", "tags": ["weir"],
           "time": {"from": "now-1h", "to": "now"}, "timezone": "utc", "panels": panels(),
           "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus",
                                    "label": "Data source"}]}}
    text = json.dumps(doc, indent=1) + "\n"
    if sys.argv[1:] == ["--check"]:
        sys.exit(open(path).read() != text)
    open(path, "w").write(text)


if __name__ == "__main__":
    main()
