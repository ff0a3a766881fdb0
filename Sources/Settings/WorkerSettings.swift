package import Jobs

/// All settings of a worker, checked. Ranges and defaults are those of `SettingFields`.
package struct WorkerSettings: Sendable, Equatable {
    package var databaseURL: DatabaseURL
    /// A direct way to the same database, past a pooler.
    package var listenURL: DatabaseURL?
    package var schema: SchemaName
    package var jobsFolder: String
    package var modelsFolder: String
    /// Threads that compute.
    package var threads: Int
    /// Whether each thread stays on a core of its own.
    package var pinsThreads: Bool
    /// Replicas of the decoder over one copy of the weights.
    package var decoders: Int
    /// Rows of one decoder's batch.
    package var decoderRows: Int
    /// Documents between encoder and decoders.
    package var handoffCapacity: Int
    /// Bytes of prompt states that are kept.
    package var promptCacheBytes: Int
    /// Time between polls of an idle worker.
    package var pollInterval: Duration
    /// Life of a lease from its last renewal.
    package var leaseDuration: Duration
    /// Wait for running documents on SIGTERM.
    package var drainTimeout: Duration
    /// For `/metrics` and the page; nil serves neither.
    package var httpAddress: HTTPAddress?
    /// Whether the user named that address. Then the worker ends if it cannot serve there.
    package var isHTTPAddressGiven: Bool
    package var logLevel: LogLevel
    package var logFormat: LogFormat

    /// swift-log's levels, by the same names.
    package enum LogLevel: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    package enum LogFormat: String, Sendable, CaseIterable {
        case text, json
    }

    /// - Parameters:
    ///   - cores: how many threads the machine can run at a time; the default of `threads`.
    ///   - program: the real path of the running program, which the folders are found from.
    /// - Throws: everything that is missing or wrong.
    package init(
        _ raw: RawSettings, cores: Int, program: String = Installation.runningProgram
    ) throws(Refusals) {
        var reader = SettingReader(raw)
        schema = reader.value(settingFields.schema)
        threads = reader.value(settingFields.threads, default: max(1, cores))
        pinsThreads = reader.value(settingFields.pin) == .on
        decoders = reader.value(settingFields.decoders, default: min(threads, 256))
        decoderRows = reader.value(settingFields.decoderRows)
        handoffCapacity = reader.value(settingFields.handoffCapacity)
        promptCacheBytes = reader.value(settingFields.promptCache)
        pollInterval = reader.value(settingFields.pollInterval)
        leaseDuration = reader.value(settingFields.lease)
        drainTimeout = reader.value(settingFields.drainTimeout)
        httpAddress = reader.value(settingFields.httpAddress)
        isHTTPAddressGiven = raw.text(of: .httpAddress) != nil
        logLevel = reader.value(settingFields.logLevel)
        logFormat = reader.value(settingFields.logFormat)

        let databaseURL = reader.keep { () throws(Refusals) in try DatabaseURL(raw) }
        listenURL =
            reader.keep { () throws(Refusals) in
                try DatabaseURL.ifGiven(raw, name: .listenURL)
            } ?? nil
        let installation = reader.keep { () throws(Refusals) in
            try Installation(raw, program: program)
        }
        guard reader.refusals.isEmpty, let databaseURL, let installation else {
            throw Refusals(reader.refusals)
        }
        self.databaseURL = databaseURL
        jobsFolder = installation.jobsFolder
        modelsFolder = installation.modelsFolder
    }
}
