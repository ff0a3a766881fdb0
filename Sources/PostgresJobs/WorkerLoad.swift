/// How busy a worker's process is, as it tells with its heartbeat; kept in `l2s.worker.load`.
package struct WorkerLoad: Sendable, Equatable, Encodable {
    package var lanes = 0
    /// Of the lanes, since the heartbeat before.
    package var lanesBusy = 0.0
    package var documents = 0
    package var prepared = 0
    package var handoff = 0
    package var handoffCapacity = 0
    package var decoding = 0
    /// Documents per pass of the encoder since that heartbeat; nil without a pass.
    package var batchFill: Double?

    package init() {}

    var json: String {
        JSONText.object([
            ("lanes", .int(lanes)), ("lanes_busy", .double(lanesBusy)),
            ("documents", .int(documents)), ("prepared", .int(prepared)),
            ("handoff", .int(handoff)), ("handoff_capacity", .int(handoffCapacity)),
            ("decoding", .int(decoding)), ("batch_fill", batchFill.map { .double($0) } ?? .null),
        ]).description
    }
}
