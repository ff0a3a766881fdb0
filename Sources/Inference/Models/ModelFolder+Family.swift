package import Checkpoints

extension ModelFolder {
    /// The configuration of a model that must be of one family.
    ///
    /// - Parameter expected: what such a model is called, to complete the message "expected …".
    /// - Throws: `InferenceError` for a model of another family.
    package func configuration<Family>(
        of family: (ModelConfiguration) -> Family?, _ expected: String
    ) throws -> Family {
        guard let own = family(configuration) else {
            throw InferenceError.wrongModel(
                path: path, expected: expected, found: configuration.name)
        }
        return own
    }
}
