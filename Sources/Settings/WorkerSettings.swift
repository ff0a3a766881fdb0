package import Jobs

/// Everything that a worker is told from outside.
package struct WorkerSettings: Sendable, Equatable {
    package var databaseURL: DatabaseURL
    /// A direct way to the same database, past a pooler. Default: none.
    package var listenURL: DatabaseURL?
    /// Default: l2s.
    package var schema: SchemaName
    package var jobsFolder: String
    package var modelsFolder: String
    /// Threads that compute, 1 to 1,024. Default: the machine's cores.
    package var threads: Int
    /// Whether each thread stays on a core of its own. Default: no.
    package var pinsThreads: Bool
    /// Replicas of the decoder over one copy of the weights, 1 to 256. Default: as many as threads.
    package var decoders: Int
    /// Rows of one decoder's batch, 1 to 1,024. Default: 32.
    package var decoderRows: Int
    /// Documents between encoder and decoders, 1 to 65,536. Default: 256.
    package var handoffCapacity: Int
    /// Bytes of prompt states that are kept, 0 to 64 GB. Default: 64 MB.
    package var promptCacheBytes: Int
    /// Time between polls of an idle worker, 10 ms to 1 h. Default: 250 ms.
    package var pollInterval: Duration
    /// Life of a lease from its last renewal, 1 s to 1 h. Default: 30 s.
    package var leaseDuration: Duration
    /// Wait for running documents on SIGTERM, 0 s to 1 h. Default: 30 s.
    package var drainTimeout: Duration
    /// For `/metrics` and the page; nil serves neither. Default: 127.0.0.1:9464.
    package var httpAddress: HTTPAddress?
    /// Whether anybody asked for that address: then the worker does not do without.
    package var isHTTPAddressGiven: Bool
    /// Default: info.
    package var logLevel: LogLevel
    /// Default: text.
    package var logFormat: LogFormat

    /// swift-log's levels, by the same names.
    package enum LogLevel: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    private enum Switch: String, CaseIterable, Sendable {
        case on, off
    }

    package enum LogFormat: String, Sendable, CaseIterable {
        case text, json
    }

    /// - Parameters:
    ///   - cores: what the machine has.
    ///   - program: the real path of the running program, which the folders are found from.
    /// - Throws: everything that is missing or wrong.
    package init(
        _ raw: RawSettings, cores: Int, program: String = Installation.runningProgram
    ) throws(Refusals) {
        var reader = SettingReader(raw)
        schema = reader.value(.schema, .schemaName, fallback: .standard)
        threads = reader.value(.threads, .wholeNumber(1...1024), fallback: max(1, cores))
        pinsThreads = reader.value(.pin, .choice(), fallback: Switch.off) == .on
        decoders = reader.value(.decoders, .wholeNumber(1...256), fallback: min(threads, 256))
        decoderRows = reader.value(.decoderRows, .wholeNumber(1...1024), fallback: 32)
        handoffCapacity = reader.value(.handoffCapacity, .wholeNumber(1...65_536), fallback: 256)
        promptCacheBytes = reader.value(
            .promptCache, .size(0...64_000_000_000), fallback: 64_000_000)
        pollInterval = reader.value(
            .pollInterval, .duration(.milliseconds(10)...(.seconds(3600))),
            fallback: .milliseconds(250))
        leaseDuration = reader.value(
            .lease, .duration(.seconds(1)...(.seconds(3600))), fallback: .seconds(30))
        drainTimeout = reader.value(
            .drainTimeout, .duration(.zero...(.seconds(3600))), fallback: .seconds(30))
        httpAddress = reader.value(.httpAddress, .httpAddress, fallback: .standard)
        isHTTPAddressGiven = raw.text(of: .httpAddress) != nil
        logLevel = reader.value(.logLevel, .choice(), fallback: .info)
        logFormat = reader.value(.logFormat, .choice(), fallback: .text)

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
