"""procrastinate and pgqueuer on one database: workers take empty tasks until a filled queue is empty.

    queues.py DATABASE_URL WORKERS DOCUMENTS

Run by `l2s bench queue --peers`. Prints JSON. Each worker is a process of its own (both are bound by
Python's one running thread), with the configuration that its documentation and source name as the
fastest. Time is measured from when all workers are connected until all have ended.
"""

import asyncio
import json
import logging
import multiprocessing
import sys
import time

url, workers = sys.argv[1], int(sys.argv[2])
CONCURRENCY = 64  # tasks in flight of a procrastinate worker
BATCHES = [64, 256]  # jobs of a pgqueuer fetch and of its buffer of finished ones


# procrastinate fetches one job per statement, and concurrency lets statements overlap. Deleting jobs
# that succeed saves updates of a growing table.
def procrastinate_app():
    import procrastinate

    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=16))

    @app.task(name="empty")
    async def empty(document):
        pass

    return app, empty


async def procrastinate_fill(documents):
    app, empty = procrastinate_app()
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, documents, 5_000):
            await empty.batch_defer_async(
                *({"document": "x"} for _ in range(min(5_000, documents - start))))


async def procrastinate_worker(ready):
    app, _ = procrastinate_app()
    async with app.open_async():
        ready.wait()
        await app.run_worker_async(
            concurrency=CONCURRENCY, wait=False, delete_jobs="successful", listen_notify=False,
            install_signal_handlers=False)


# pgqueuer takes a batch per statement and writes finished jobs back in buffers of the same size.
async def pgqueuer_fill(documents):
    import asyncpg
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(url)
    queries = Queries.from_asyncpg_connection(connection)
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    for start in range(0, documents, 5_000):
        count = min(5_000, documents - start)
        await queries.enqueue(["empty"] * count, [b"x"] * count, [0] * count)
    await connection.close()


async def pgqueuer_worker(ready, batch):
    import asyncpg
    from pgqueuer.qm import QueueManager
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    pool = await asyncpg.create_pool(url, min_size=4, max_size=8)
    manager = QueueManager(Queries.from_asyncpg_pool(pool))

    @manager.entrypoint("empty")
    async def empty(job):
        pass

    ready.wait()
    await manager.run(batch_size=batch, mode=QueueExecutionMode.drain)


def run(worker, *arguments):
    try:
        import uvloop  # pgqueuer and asyncpg both recommend it

        uvloop.run(worker(*arguments))
    except ImportError:
        asyncio.run(worker(*arguments))


async def left(table):
    import asyncpg

    connection = await asyncpg.connect(url)
    count = await connection.fetchval(f"SELECT count(*) FROM {table}")
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return count


def measure(name, documents, fill, worker, arguments, table, configuration):
    asyncio.run(fill(documents))
    assert asyncio.run(left(table)) == documents
    barrier = multiprocessing.Barrier(workers + 1)
    processes = [
        multiprocessing.Process(target=run, args=(worker, barrier, *arguments))
        for _ in range(workers)]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
        assert process.exitcode == 0, (name, process.exitcode)
    seconds = time.perf_counter() - start
    assert asyncio.run(left(table)) == 0
    return {
        "queue": name, "workers": workers, "documents": documents,
        "documents_per_second": documents / seconds, "configuration": configuration,
    }


if __name__ == "__main__":
    from importlib.metadata import version

    documents = int(sys.argv[3])
    multiprocessing.set_start_method("fork")
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    # procrastinate is about ten times slower, so it gets a tenth of the documents.
    rates = [measure(
        f"procrastinate {version('procrastinate')}", documents // 10, procrastinate_fill,
        procrastinate_worker, (), "procrastinate_jobs",
        f"concurrency {CONCURRENCY}, uvloop, delete_jobs successful, no listen_notify")]
    # The second fill finds the tables there.
    for batch in BATCHES:
        rates.append(measure(
            f"pgqueuer {version('pgqueuer')}", documents, pgqueuer_fill, pgqueuer_worker, (batch,),
            "pgqueuer", f"batch_size {batch}, asyncpg pool, uvloop, drain"))
    print(json.dumps(rates))
