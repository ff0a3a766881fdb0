import Dispatch
import Foundation
import Jobs
import Logging
import Pipeline
import Postgres
import PostgresJobs
import ServiceLifecycle
import Settings
import Telemetry
import Watch
import Worker

/// Everything concrete: models, pipeline, PostgreSQL, log and signals, put together.
struct Composition {
    let settings: WorkerSettings
    let untilEmpty: Bool

    func run() async throws(Failure) {
        do {
            startLogging(
                level: Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info,
                format: Telemetry.LogFormat(rawValue: settings.logFormat.rawValue) ?? .text)
            let jobTypes = try loadJobTypes(folder: settings.jobsFolder)
            let database = try ConnectionSettings(
                settings.databaseURL.connectionString, applicationName: "l2s-worker")
            let library = try ModelLibrary(
                jobTypes: jobTypes, modelsFolder: settings.modelsFolder)
            let pipeline = Pipeline(
                library: library,
                settings: PipelineSettings(
                    threads: settings.threads, decoders: settings.decoders,
                    decoderRows: settings.decoderRows,
                    handoffCapacity: settings.handoffCapacity,
                    promptCacheBytes: settings.promptCacheBytes))
            let meter = LoadMeter(pipeline)
            let store = PostgresJobStore(database) { meter.read() }
            do {
                try await serve(
                    jobTypes: jobTypes, store: store, pipeline: pipeline, database: database)
            } catch {
                await store.close()
                throw error
            }
            await store.close()
            // Lanes must not compute any longer when the process tears down what they use.
            pipeline.stop()
        } catch {
            throw Failure(error)
        }
    }

    private func serve(
        jobTypes: [JobType], store: PostgresJobStore, pipeline: Pipeline,
        database: ConnectionSettings
    ) async throws {
        let logger = Logger(label: "l2s-worker")
        let version = "0.1.0"
        let metrics = WorkerMetrics(version: version, jobTypes: jobTypes.map(\.name))
        let worker = WorkerService(
            configuration: WorkerConfiguration(
                description: WorkerDescription(
                    host: ProcessInfo.processInfo.hostName,
                    processID: ProcessInfo.processInfo.processIdentifier, version: version),
                jobTypes: jobTypes, leaseDuration: settings.leaseDuration,
                pollInterval: settings.pollInterval, drainTimeout: settings.drainTimeout,
                stopsWhenEmpty: untilEmpty, threads: settings.threads,
                decoders: settings.decoders),
            store: store, processor: pipeline, logger: logger, metrics: metrics)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                // They stop in the opposite order: a worker that drains is still watched.
                services: watch(metrics, pipeline, database, logger).map { .init(service: $0) } + [
                    .init(
                        service: worker, successTerminationBehavior: .gracefullyShutdownGroup)
                ], logger: logger))
        let signals = Signals(
            // A task, because the handler cannot wait.
            first: { Task { await group.triggerGracefulShutdown() } },
            second: { signal in
                logger.emit(.stoppedAtOnce(running: worker.runningDocuments))
                // Not exit: lanes are still computing with what its handlers would destroy.
                _exit(128 + signal)
            })
        defer { signals.cancel() }
        try await group.run()
    }

    /// The HTTP server, or none.
    private func watch(
        _ metrics: WorkerMetrics, _ pipeline: Pipeline, _ database: ConnectionSettings,
        _ logger: Logger
    ) -> [any Service] {
        guard let address = settings.httpAddress else { return [] }
        let dashboard = Dashboard(database)
        let answers = WatchServer.Answers(
            metrics: {
                metrics.families + metricFamilies(pipeline.statistics) + ProcessMetrics.families
            }, isReady: { metrics.isReady })
        return [
            WatchServer(
                host: address.host, port: address.port, isRequired: settings.isHTTPAddressGiven,
                answers: answers, feed: LiveFeed { await dashboard.look() }, logger: logger)
        ]
    }
}
