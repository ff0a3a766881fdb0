/// The engine as a worker sees it.
package protocol DocumentProcessor: Sendable {
    /// How many more documents the engine would take now. Suspends while there is no room.
    ///
    /// This is the back-pressure of the whole worker: claims stop while the engine is full. Returns
    /// 0 when the task is cancelled or the engine stops.
    func waitForRoom() async -> Int

    /// Hands documents over. Each comes back through `deliver` exactly once, in order of
    /// completion, unless it is withdrawn. `deliver` is called on a compute lane, so it must return
    /// promptly. For a document whose job type the engine does not know, it is called before
    /// `submit` returns, on the caller's thread: do not hold a lock that it takes.
    func submit(
        _ documents: [SourceDocument],
        deliver: @escaping @Sendable (FinishedDocument) -> Void)

    /// Drops those of the documents that no lane has taken up yet, and returns their ids. Only
    /// these will not be delivered.
    func withdraw(_ ids: Set<Int64>) -> Set<Int64>
}
