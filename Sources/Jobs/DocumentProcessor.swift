/// The engine as a worker sees it.
package protocol DocumentProcessor: Sendable {
    /// How many more documents the engine would take now; suspends while that is none.
    ///
    /// This is the back-pressure of the whole worker: claims stop while the engine is full.
    func waitForRoom() async -> Int

    /// Hands documents over. Each comes back through `deliver` exactly once, in order of
    /// completion; `deliver` is called on a compute lane and must return promptly.
    func submit(
        _ documents: [SourceDocument],
        deliver: @escaping @Sendable (FinishedDocument) -> Void)

    /// Drops documents that no lane has taken up yet and returns their ids: these, and only
    /// these, will not be delivered.
    func withdraw(_ ids: Set<Int64>) -> Set<Int64>
}
