import FoundationEssentials
package import Jobs

/// The job types of every `*.yaml` and `*.yml` file of `folder`, in order of their file names.
///
/// - Throws: everything that is wrong with any of the files; a folder that is missing, unreadable
///   or empty.
package func loadJobTypes(folder: String) throws(Refusals) -> [JobType] {
    let (jobTypes, refusals) = readJobTypes(folder: folder)
    guard refusals.isEmpty else { throw Refusals(refusals) }
    return jobTypes
}

/// The same, with the job types of the good files also when others are wrong.
package func readJobTypes(folder: String) -> (jobTypes: [JobType], refusals: [Refusal]) {
    let names: [String]
    do {
        names = try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { !$0.hasPrefix(".") && ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) }
            .sorted()
    } catch {
        let refusal = Refusal(
            field: "the jobs folder", expected: "a folder that can be read",
            found: Refusal.quoted(folder))
        return ([], [refusal])
    }

    var refusals: [Refusal] = []
    var jobTypes: [JobType] = []
    var places: [String: String] = [:]
    for name in names {
        let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
        do throws(Refusals) {
            let file = try JobFile(parsing: text(ofFile: path), file: path)
            if let place = places[file.jobType.name] {
                refusals.append(
                    Refusal(
                        file: path, line: file.nameLine, field: jobFields.name.about.name,
                        expected: "a name that no other file has",
                        found: "\(Refusal.quoted(file.jobType.name)), which \(place) has"))
            } else {
                places[file.jobType.name] = path
                jobTypes.append(file.jobType)
            }
        } catch {
            refusals += error.all
        }
    }
    if names.isEmpty {
        refusals.append(
            Refusal(
                field: "the jobs folder", expected: "a folder with at least one job file (*.yaml)",
                found: Refusal.quoted(folder)))
    }
    return (jobTypes, refusals)
}
