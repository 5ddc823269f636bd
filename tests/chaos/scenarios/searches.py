"""A person who sends the most expensive searches through long texts, as often as allowed."""

import time

from tests.abuse.hog import LONG, SEARCHES, TASK_COUNT, hogging
from tests.abuse.readers import post
from tests.chaos.harness import Harness
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.scenario import scenario
from tests.chaos.scenarios.connections import figures_of_others

AT_ONCE = 24  # requests
SECONDS = 5.0  # of searching
LASTING = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query_start < now() - interval '1.5 s' AND backend_type = 'client backend'
"""


@scenario(
    "searches: 24 at once of one person, for ten words in 1,200 long texts",
    Allowed(outage=BUSY_SECONDS, slowest=3.0, share_during=1.0),
)
def searches(harness: Harness) -> None:
    with harness.serving() as service:
        for _ in range(TASK_COUNT // 100):
            post(service, "/batch", {"operations": [LONG] * 100}, "searcher")
        with harness.under_load(service):
            time.sleep(2.0)
            with harness.fault(), hogging(service, "searcher", at_once=AT_ONCE, paths=SEARCHES) as answers:
                time.sleep(SECONDS)
            time.sleep(2.0)
            busy = int(harness.sql(LASTING))
            harness.promise(answers["200"] > 0, f"the searcher is answered {dict(answers)}")
            harness.promise(busy == 0, f"{busy} of the searches still run 2 s afterwards")
            harness.notes.append(f"{figures_of_others(harness)}; the searcher: {dict(answers)}")
