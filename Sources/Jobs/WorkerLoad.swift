/// How busy a worker's process is. The worker sends it with its heartbeat.
package struct WorkerLoad: Sendable, Equatable, Encodable {
    package var lanes = 0
    /// The share of the lanes' time that they computed since the last heartbeat, 0 to 1.
    package var lanesBusy = 0.0
    package var documents = 0
    package var prepared = 0
    package var handoff = 0
    package var handoffCapacity = 0
    /// Rows in decoders.
    package var decoding = 0
    /// Documents per pass of the encoder since the last heartbeat; nil without a pass.
    package var batchFill: Double?

    package init() {}
}
