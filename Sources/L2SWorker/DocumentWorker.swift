internal import Foundation
internal import Jobs
public import Logging
internal import Pipeline
internal import Postgres
internal import PostgresJobs
public import ServiceLifecycle
package import Settings
internal import Telemetry
internal import Watch
internal import Worker

/// A worker with everything concrete: models, engine, PostgreSQL and HTTP. `l2s-worker` runs one;
/// so can any application, among its other services:
///
///     InstrumentationSystem.bootstrap(tracer)
///     let worker = try DocumentWorker(settings: ["L2S_DATABASE_URL": url, "L2S_JOBS": "jobs", …])
///     try await ServiceGroup(services: [tracer, worker], …).run()
///
/// The application's tracer gets a span for every document, with its stages inside, which continues
/// the `traceparent` of the document's metadata.
public final class DocumentWorker: Service {
    private let pipeline: Pipeline
    private let store: PostgresJobStore
    private let worker: WorkerService
    private let group: ServiceGroup
    private let logger: Logger

    /// Reads the job files and opens all models, which takes seconds.
    ///
    /// - Parameters:
    ///   - settings: the values of the variables that `l2s-worker --help` lists; what is left out has
    ///     the default given there. `L2S_LOG_…` are ignored. The environment of the process is not
    ///     read: pass it, if it shall count.
    ///   - logger: gets the worker's events; no document's text is in them.
    /// - Throws: what is wrong with settings, job files and models, in words.
    public convenience init(
        settings: [String: String], logger: Logger = Logger(label: "l2s-worker")
    ) throws {
        try self.init(
            WorkerSettings(
                RawSettings(flags: [:], environment: settings),
                cores: Processors.available.usable), logger: logger)
    }

    /// - Parameter stopsWhenEmpty: whether `run` returns once nothing waits, runs or is to be tried
    ///   again. Documents scheduled for later and those of paused job types are left.
    package init(
        _ settings: WorkerSettings, stopsWhenEmpty: Bool = false, logger: Logger
    ) throws {
        let jobTypes = try loadJobTypes(folder: settings.jobsFolder)
        func connection(_ url: DatabaseURL) throws -> ConnectionSettings {
            try ConnectionSettings(
                url.connectionString, schema: settings.schema, applicationName: "l2s-worker")
        }
        let database = try connection(settings.databaseURL)
        let library = try ModelLibrary(jobTypes: jobTypes, modelsFolder: settings.modelsFolder)
        for warning in library.warnings { logger.emit(.modelUnchecked(reason: warning)) }
        let pipeline = Pipeline(
            library: library,
            settings: PipelineSettings(
                threads: settings.threads, decoders: settings.decoders,
                decoderRows: settings.decoderRows, handoffCapacity: settings.handoffCapacity,
                promptCacheBytes: settings.promptCacheBytes, pinsThreads: settings.pinsThreads))
        let meter = LoadMeter(pipeline)
        let process = ProcessInfo.processInfo
        let cores = Processors.available.usable
        if settings.threads > cores {
            logger.emit(.threadsShareCores(threads: settings.threads, cores: cores))
        }
        let metrics = WorkerMetrics(version: Version.current, jobTypes: jobTypes.map(\.name))
        store = PostgresJobStore(
            database, listening: try settings.listenURL.map(connection),
            onPolling: { logger.emit(.pollsOnly) })
        worker = WorkerService(
            configuration: WorkerConfiguration(
                description: WorkerDescription(
                    host: process.hostName, processID: process.processIdentifier,
                    version: Version.current),
                jobTypes: jobTypes, leaseDuration: settings.leaseDuration,
                pollInterval: settings.pollInterval, drainTimeout: settings.drainTimeout,
                stopsWhenEmpty: stopsWhenEmpty, threads: settings.threads,
                decoders: settings.decoders),
            store: store, processor: pipeline, load: { meter.read() }, logger: logger,
            metrics: metrics)
        let server = settings.httpAddress.map { address in
            let dashboard = Dashboard(database)
            return WatchServer(
                host: address.host, port: address.port, isRequired: settings.isHTTPAddressGiven,
                answers: WatchServer.Answers(
                    metrics: {
                        metrics.families + metricFamilies(pipeline.statistics)
                            + ProcessMetrics.families
                    }, isReady: { metrics.isReady }),
                feed: LiveFeed { await dashboard.look() }, logger: logger)
        }
        // They stop in the opposite order: a worker that drains is still watched.
        let services: [ServiceGroupConfiguration.ServiceConfiguration] =
            (server.map { [.init(service: $0)] } ?? [])
            + [.init(service: worker, successTerminationBehavior: .gracefullyShutdownGroup)]
        group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: services, logger: logger))
        self.pipeline = pipeline
        self.logger = logger
    }

    /// Works until a graceful shutdown, which drains the worker. Call this once.
    ///
    /// - Throws: an error whose description says why the worker cannot start or go on.
    public func run() async throws {
        do {
            try await group.run()
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        // Lanes must have stopped before the process tears down what they use.
        pipeline.stop()
    }

    /// Begins to drain.
    package func drain() async { await group.triggerGracefulShutdown() }

    /// Logs how many documents run in a process that is about to end without draining.
    package func leave() { logger.emit(.stoppedAtOnce(running: worker.runningDocuments)) }
}
