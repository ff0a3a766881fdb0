package import Jobs

/// What a worker does, and how long it waits.
package struct WorkerConfiguration: Sendable {
    package var description: WorkerDescription
    package var jobTypes: [JobType]
    /// How long a lease lives after its last renewal. It is renewed after a third of this time.
    package var leaseDuration: Duration
    /// An idle worker asks for work at least this often, also without a notification.
    package var pollInterval: Duration
    /// How long running documents may take to finish when the worker has to stop.
    package var drainTimeout: Duration
    /// Whether the worker stops by itself when none of its job types has documents that are due.
    package var stopsWhenEmpty: Bool
    /// `threads` and `decoders` are for the log only.
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

    /// The most documents of one claim. The statements of the store were measured with 256.
    static let claimDocuments = 256
    /// The most tokens of one claim, as estimated: about half a megabyte of text.
    static let claimTokens = 131_072
    /// How often the worker tries to reach the store at its start. The store paces the tries, so
    /// they take about three seconds.
    static let startTries = 6
    /// About how often the worker looks for leases that ran out and for delayed documents.
    static let maintenanceInterval = Duration.seconds(1)
    /// How often the worker asks the store to maintain its tables. The store does it if nobody did
    /// lately.
    static let tableInterval = Duration.seconds(30)
}
