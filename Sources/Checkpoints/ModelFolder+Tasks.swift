extension ModelFolder.Generation.Task {
    /// The tasks of `task_specific_params`, which t5-small has, for instance. A task that cannot be
    /// read is left out, because tasks are only shown.
    static func all(_ configuration: JSONFields) -> [Self] {
        guard let tasks = try? configuration.object("task_specific_params") else { return [] }
        return tasks.names.compactMap { name in
            guard let fields = try? tasks.object(name),
                let defaults = try? GenerationDefaults(nil, configuration: fields)
            else { return nil }
            var prefix: String?
            if case .text(let text) = fields.values["prefix"] { prefix = text }
            return Self(name: name, prefix: prefix, defaults: defaults)
        }
    }
}
