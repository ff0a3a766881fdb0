import FoundationEssentials

/// Where the job definitions and the models are.
package struct Installation: Sendable, Equatable {
    package let jobsFolder: String
    package let modelsFolder: String

    /// The folders by the first of: `--jobs` and `--models`; `$L2S_JOBS` and `$L2S_MODELS`; `jobs`
    /// and `models` in `$L2S_HOME`; in the nearest folder above the running program that holds
    /// both; in `share/l2s` beside the program's `bin`; in `/usr/local/share/l2s`; in
    /// `/usr/share/l2s`.
    ///
    /// - Parameter program: the real path of the running program.
    /// - Throws: a refusal that says which folders were looked at, or which given one is missing.
    package init(
        _ raw: RawSettings, program: String = Self.runningProgram
    ) throws(Refusals) {
        let jobs = raw.text(of: .jobs)
        let models = raw.text(of: .models)
        try Self.refuseMissing([jobs, models].compactMap(\.self))
        if let jobs, let models {
            (jobsFolder, modelsFolder) = (jobs.text, models.text)
        } else {
            let home = try Self.search(home: raw.environment["L2S_HOME"], program: program)
            jobsFolder = jobs?.text ?? "\(home)/jobs"
            modelsFolder = models?.text ?? "\(home)/models"
        }
    }

    /// The models folder alone, for commands that read no job definitions.
    ///
    /// - Throws: as `init`, except that no jobs folder is needed when the models folder is given.
    package static func modelsFolder(_ raw: RawSettings) throws(Refusals) -> String {
        guard let models = raw.text(of: .models) else { return try Self(raw).modelsFolder }
        try refuseMissing([models])
        return models.text
    }

    private static func refuseMissing(
        _ given: [(text: String, origin: String)]
    ) throws(Refusals) {
        let folder = Quantity<String>.folder
        let refusals = given.filter { folder.read($0.text) == nil }.map {
            Refusal(
                field: $0.origin, expected: folder.expected, found: Refusal.quoted($0.text))
        }
        guard refusals.isEmpty else { throw Refusals(refusals) }
    }

    private static func search(home: String?, program: String) throws(Refusals) -> String {
        func holdsBoth(_ folder: String) -> Bool {
            isFolder("\(folder)/jobs") && isFolder("\(folder)/models")
        }
        // A wrong L2S_HOME is a mistake of the user, not a reason to run with other models.
        if let home, !home.isEmpty {
            if holdsBoth(home) { return home }
            throw Refusals([
                Refusal(
                    field: "L2S_HOME", expected: "a folder that holds jobs and models",
                    found: Refusal.quoted(home))
            ])
        }
        var candidates: [String] = []
        var path = program[...]
        while let slash = path.lastIndex(of: "/") {
            path = path[..<slash]
            candidates.append(String(path))
        }
        // `make install` puts them into this folder beside its bin.
        let shared = ["/usr/local/share/l2s", "/usr/share/l2s"]
        if let bin = candidates.first, bin.hasSuffix("/bin") {
            let beside = String(bin.dropLast("bin".count)) + "share/l2s"
            if !shared.contains(beside) { candidates.append(beside) }
        }
        candidates += shared
        if let found = candidates.first(where: holdsBoth) { return found }
        let places = candidates.map { $0.isEmpty ? "/" : $0 }.joined(separator: ", ")
        throw Refusals([
            Refusal(
                field: "one of \(places)",
                expected: "a folder that holds jobs and models (or name them: --jobs and "
                    + "--models, L2S_JOBS and L2S_MODELS, or L2S_HOME for the folder of both)",
                found: "none")
        ])
    }

    /// The real path of this program; empty if the system does not say.
    package static var runningProgram: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    }

    static func isFolder(_ path: String) -> Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
    }
}
