/// The fencing token of a batch in flight: every write of its documents must name it.
package struct LeaseID: Hashable, Sendable {
    package let value: Int64

    package init(_ value: Int64) {
        self.value = value
    }
}

/// A worker from its registration to its end. No id is used twice.
package struct WorkerID: Hashable, Sendable {
    package let value: Int64

    package init(_ value: Int64) {
        self.value = value
    }
}

/// What operators see of a worker.
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
