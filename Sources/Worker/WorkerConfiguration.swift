package import Jobs

/// What a worker does and how patiently.
package struct WorkerConfiguration: Sendable {
    package var description: WorkerDescription
    package var jobTypes: [JobType]
    /// Life of a lease from its last renewal. Renewed at a third.
    package var leaseDuration: Duration
    /// An idle worker asks for work at least so often; notifications come sooner.
    package var pollInterval: Duration
    /// Running documents may take so long to finish once the worker is to stop.
    package var drainTimeout: Duration
    /// Whether to stop by itself once no document of its job types is unfinished.
    package var stopsWhenEmpty: Bool
    /// For the log only.
    package var threads: Int
    package var decoders: Int

    package init(
        description: WorkerDescription, jobTypes: [JobType], leaseDuration: Duration,
        pollInterval: Duration, drainTimeout: Duration, stopsWhenEmpty: Bool, threads: Int,
        decoders: Int
    ) {
        self.description = description
        self.jobTypes = jobTypes
        self.leaseDuration = leaseDuration
        self.pollInterval = pollInterval
        self.drainTimeout = drainTimeout
        self.stopsWhenEmpty = stopsWhenEmpty
        self.threads = threads
        self.decoders = decoders
    }

    /// Documents of one claim. The statements of the store are measured at 256.
    static let claimDocuments = 256
    /// Estimated tokens of one claim: about half a megabyte of text.
    static let claimTokens = 131_072
    /// Tries to reach the store at the start: about three seconds, as the store paces them.
    static let startTries = 6
    /// Leases that ran out and delayed documents are looked for about so often.
    static let maintenanceInterval = Duration.seconds(1)
    /// The store is asked so often to keep its tables in shape; it does when nobody did lately.
    static let tableInterval = Duration.seconds(30)
}
