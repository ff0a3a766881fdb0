internal import FoundationEssentials

func fileExists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

/// Reads the whole of a tokenizer's file.
///
/// - Throws: `TokenizerError`, also for a file over 200 MB: the largest tokenizers have 30 MB.
func readTokenizerBytes(_ path: String) throws -> Data {
    let largest = 200_000_000
    let data: Data
    do {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        guard attributes[.type] as? FileAttributeType != .typeDirectory,
            let size = attributes[.size] as? Int ?? (attributes[.size] as? UInt64).map({ Int($0) }),
            size <= largest
        else {
            throw TokenizerError(
                path: path,
                problem: .malformed("expected a file of at most \(largest) bytes"))
        }
        data = try Data(contentsOf: URL(filePath: path))
    } catch let error as TokenizerError {
        throw error
    } catch let error as CocoaError where error.code == .fileReadNoPermission {
        throw TokenizerError(path: path, problem: .unreadable(reason: "permission denied"))
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
        throw TokenizerError(path: path, problem: .unreadable(reason: "no such file"))
    } catch {
        throw TokenizerError(path: path, problem: .unreadable(reason: "\(error)"))
    }
    guard !data.starts(with: "version https://git-lfs".utf8) else {
        throw TokenizerError(path: path, problem: .gitPointer)
    }
    return data
}
