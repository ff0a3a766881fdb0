internal import Jobs

extension ModelLibrary {
    /// Warnings of large models that job types use with different adapters. Such a model is loaded
    /// once for each adapter, and these job types share no reading of a document.
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
                return "\(llm) is \(models.count) large models, because its job types name "
                    + "different adapters, and each model reads documents itself: "
                    + words.sorted().joined(separator: "; ")
            }
    }
}
