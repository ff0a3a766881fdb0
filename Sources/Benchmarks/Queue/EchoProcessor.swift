internal import Dispatch
internal import Jobs

/// An engine that does nothing: each document comes back at once as its own output. What is left is
/// the cost of the queue and of the worker around the engine.
struct EchoProcessor: DocumentProcessor {
    /// The most documents of a claim.
    private let batch: Int
    /// Deliveries come from a thread of the engine's own, as from the real one.
    private let thread = DispatchQueue(label: "echo")

    init(batch: Int) { self.batch = batch }

    func waitForRoom() async -> Int {
        // This waits behind what was submitted: no engine has room until it has delivered.
        await withCheckedContinuation { continuation in
            thread.async { continuation.resume(returning: batch) }
        }
    }

    func submit(
        _ documents: [SourceDocument], deliver: @escaping @Sendable (FinishedDocument) -> Void
    ) {
        thread.async {
            for document in documents {
                var measurements = Measurements()
                measurements.mode = "llm"
                measurements.model = "echo"
                measurements.encodeSource = .batch(documents.count)
                deliver(
                    FinishedDocument(
                        id: document.id, outcome: .succeeded(output: document.text, tokens: []),
                        measurements: measurements))
            }
        }
    }

    func withdraw(_ ids: Set<Int64>) -> Set<Int64> { [] }
}
