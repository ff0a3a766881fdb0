import FoundationEssentials
import Jobs
import Yams

/// The tree of a YAML text. Errors of Yams hold the whole text, so only the problem and its line are
/// passed on.
///
/// - Parameter content: what the file is expected to hold, for the refusal of an empty file.
func composeYAML(
    _ text: String, file: String, of content: String
) throws(Refusals) -> Node {
    func refusal(_ expected: String, _ found: String, line: Int? = nil) -> Refusals {
        Refusals([
            Refusal(file: file, line: line, field: "the file", expected: expected, found: found)
        ])
    }
    do {
        if let root = try Yams.compose(yaml: text) { return root }
    } catch let error as YamlError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            throw refusal("YAML", problem, line: mark.line)
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.map(Refusal.quoted).joined(separator: ", ")
            throw refusal(
                "YAML with each field once", "\(names) more than once",
                line: context.mark.line)
        case .reader(let problem, _, _, _):
            throw refusal("YAML", problem)
        default:
            throw refusal("YAML", "text that could not be read")
        }
    } catch {
        throw refusal("YAML", "text that could not be read")
    }
    throw refusal(content, "an empty file")
}

/// In bytes. Files of settings are far smaller; a model or a dump named `.yaml` by mistake is larger.
private let largestFile = 65_536

/// The whole of a small text file.
func text(ofFile path: String) throws(Refusals) -> String {
    func refusal(_ expected: String, _ found: String) -> Refusals {
        Refusals([Refusal(file: path, field: "the file", expected: expected, found: found)])
    }
    guard FileManager.default.fileExists(atPath: path) else {
        throw refusal("one that exists", "none")
    }
    guard let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int else {
        throw refusal("a file", "one that cannot be looked at")
    }
    guard size <= largestFile else {
        throw refusal("at most \(largestFile) bytes", "\(size)")
    }
    guard let bytes = FileManager.default.contents(atPath: path) else {
        throw refusal("readable", "a file that could not be read")
    }
    guard let text = String(bytes: bytes, encoding: .utf8) else {
        throw refusal("UTF-8", "bytes that are not")
    }
    return String(text.withoutByteOrderMark)
}
