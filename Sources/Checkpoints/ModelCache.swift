import FoundationEssentials

/// The folder of fetched models. It is the user's own, and all projects share it.
package enum ModelCache {
    /// The environment variable that names another folder.
    package static let variable = "L2S_CACHE"
    /// The large model of the default job types, as job files name it.
    package static let defaultModel = "SmolLM2-135M-Instruct"

    /// `$L2S_CACHE`, `$XDG_CACHE_HOME/l2s` or `~/.cache/l2s`. Nil where none of them is set.
    package static func folder(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> String? {
        func given(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        return given(variable) ?? given("XDG_CACHE_HOME").map { $0 + "/l2s" }
            ?? given("HOME").map { $0 + "/.cache/l2s" }
    }

    /// The path of a model: in the models folder, or else among those that were fetched.
    ///
    /// - Parameter model: a name, or an absolute path, such as a small model's manifest leads to.
    ///   Where nothing lies at an absolute path, its last part is looked for.
    package static func locate(
        _ model: String, in modelsFolder: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> String {
        let isAbsolute = model.hasPrefix("/")
        let path = isAbsolute ? model : modelsFolder + "/" + model
        guard !FileMapping.exists(path), let cache = folder(environment: environment) else {
            return path
        }
        let name = isAbsolute ? path.split(separator: "/").last.map(String.init) : model
        let fetched = name.map { cache + "/" + $0 }
        return fetched.flatMap { FileMapping.exists($0) ? $0 : nil } ?? path
    }

    /// What to do about a model that is not there.
    static func advice(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) == defaultModel
            ? "; run `l2s fetch` to get it" : ""
    }
}
