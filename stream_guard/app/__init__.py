"""The compositions: a replay of recorded traffic, and the services that run beside a gateway, with Kafka and without."""

import gc


def rest_collector() -> None:
    """Let Python look for cyclic garbage less often, in a process that is ours.

    Traffic is many short-lived records without cycles: by default the collector walks over them, and over all that is
    held, again and again. Memory is freed as before where nothing is cyclic.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
