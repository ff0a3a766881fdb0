import Foundation
import FoundationNetworking
import TestSupport

extension WorkerProgram {
    /// The address of its HTTP server, such as `127.0.0.1:41234`. Waits until it serves.
    func watchAddress() async throws -> String {
        var address = ""
        try await eventually("the worker serves HTTP; its log: \(log)") {
            guard let line = log.split(separator: "\n").first(where: { $0.contains(" served ") })
            else { return false }
            address = String(line.split(separator: "=").last ?? "")
            return true
        }
        return address
    }
}

/// What a server answers.
struct Answer {
    let status: Int
    let type: String
    let text: String

    /// - Parameter url: without `http://`.
    init(_ url: String, accept: String = "*/*") async throws {
        var request = URLRequest(url: URL(string: "http://\(url)") ?? URL(filePath: "/"))
        request.setValue(accept, forHTTPHeaderField: "Accept")
        request.cachePolicy = .reloadIgnoringLocalCacheData
        request.timeoutInterval = 600
        let (data, response) = try await URLSession.shared.data(for: request)
        let http = response as? HTTPURLResponse
        status = http?.statusCode ?? 0
        type = http?.value(forHTTPHeaderField: "Content-Type") ?? ""
        text = String(decoding: data, as: UTF8.self)
    }
}

/// Where tests leave what a person may want to look at: `.build/artifacts`.
enum Artifacts {
    static func path(_ name: String) throws -> String {
        let folder = TestStand.root.appending(path: ".build/artifacts")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appending(path: name).path()
        print("artefact: \(path)")
        return path
    }

    static func keep(_ text: String, _ name: String) throws {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
    }
}

/// The job types of the fixtures and one more, `strict`, whose documents fail when they are long.
func jobsWithAStrictOne() throws -> ScratchFolder {
    let shipped = URL(filePath: Fixtures.home).appending(path: "jobs")
    let folder = try ScratchFolder()
    for name in try FileManager.default.contentsOfDirectory(atPath: shipped.path())
    where name.hasSuffix(".yaml") {
        let text = try String(contentsOf: shipped.appending(path: name), encoding: .utf8)
        try folder.write(name, text.utf8)
        guard name == "summarize.yaml" else { continue }
        let strict = text.replacing("name: summarize", with: "name: strict")
            .replacing("overflow: truncate", with: "overflow: fail")
        try folder.write("strict.yaml", strict.utf8)
    }
    return folder
}
