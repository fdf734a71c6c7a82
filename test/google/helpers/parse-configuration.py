"""Reads app.yaml and cron.yaml as Google's tools do, and prints what they understand as JSON."""
import json
import sys

from google.appengine.api import appinfo_includes, croninfo

app_yaml, cron_yaml = sys.argv[1:]
with open(app_yaml) as file:
    app, included = appinfo_includes.ParseAndReturnIncludePaths(file)
with open(cron_yaml) as file:
    crons = croninfo.LoadSingleCron(file).cron
print(json.dumps({
    'runtime': app.runtime,
    'environment': dict(app.env_variables or {}),
    'inbound': app.inbound_services,
    'secure': [handler.secure for handler in app.handlers],
    'crons': [{'url': cron.url, 'schedule': cron.schedule} for cron in crons],
}))
