/// The fencing token of a batch in flight: every write about its documents must prove it.
package struct LeaseID: Hashable, Sendable {
    package let value: Int64

    package init(_ value: Int64) {
        self.value = value
    }
}

/// One process, from registration to its end; never used twice.
package struct WorkerID: Hashable, Sendable {
    package let value: Int64

    package init(_ value: Int64) {
        self.value = value
    }
}

/// What the queue tells operators about a worker.
package struct WorkerDescription: Sendable {
    package var host: String
    package var processID: Int32
    package var version: String

    package init(host: String, processID: Int32, version: String) {
        self.host = host
        self.processID = processID
        self.version = version
    }
}
