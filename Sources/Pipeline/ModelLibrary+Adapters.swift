internal import Jobs

extension ModelLibrary {
    /// Large models that are loaded, and whose documents are read, once for each adapter.
    static func readTwice(_ jobTypes: [JobType]) -> [String] {
        Dictionary(grouping: jobTypes.filter { $0.llm != nil }, by: \.encoderFolder)
            .sorted { $0.key < $1.key }
            .compactMap { llm, jobTypes in
                let models = Dictionary(grouping: jobTypes, by: \.adapter)
                guard models.count > 1 else { return nil }
                let words = models.map { adapter, jobTypes in
                    (adapter.map { "with the adapter \($0): " } ?? "without an adapter: ")
                        + jobTypes.map(\.name).joined(separator: ", ")
                }
                return "\(llm) is \(models.count) large models, which read each for itself: "
                    + words.sorted().joined(separator: "; ")
            }
    }
}
