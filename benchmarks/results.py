import json
from pathlib import Path
def write(bed, report, extras):
    Path("/tmp/results.json").write_text(json.dumps(report.as_json()))
