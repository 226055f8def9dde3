"""What the application says to settings and to a `user_config` that cannot be, as JSON: [[given, message]].

python ray_refusals.py
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from service.ray_serve import Replica, app
from service.settings import BadSetting


def said(ask: Callable[[Any], object], given: Any) -> list[Any]:
    try:
        ask(given)
    except BadSetting as error:
        return [given, str(error)]
    return [given, None]


settings = [
    {"allow_no_key": "true", "checkpoints": "/srv/checkpoints"},
    {},
    {"allow_no_key": True, "port": 8000},
    {"allow_no_key": True, "drift_rows": 500},
    {"api_keys": "secret"},
    {"allow_no_key": True, "max_count": "many"},
    {"allow_no_key": True, "max_counts": 16},
]
configs = [{"version": {}}, {"versions": {"tiny": "2"}}, {"versions": {"tiny": 0}}, None]
print(
    json.dumps(
        [
            *(said(app, one) for one in settings),
            *(said(lambda given: asyncio.run(Replica().reconfigure(given)), one) for one in configs),
        ]
    )
)
