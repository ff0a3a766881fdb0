/// Arrays of C strings that live for one call.
enum CStrings {
    typealias Array = UnsafePointer<UnsafePointer<CChar>?>

    /// A nil element becomes a null pointer. One more null pointer ends the array.
    static func withArray<Result>(
        _ strings: [String?], _ body: (Array) -> Result
    ) -> Result {
        var bytes: [CChar] = []
        var offsets: [Int?] = []
        for string in strings {
            offsets.append(string == nil ? nil : bytes.count)
            if let string { bytes.append(contentsOf: string.utf8CString) }
        }
        return bytes.withUnsafeBufferPointer { bytes in
            let pointers = offsets.map { offset in
                offset.flatMap { offset in bytes.baseAddress.map { $0 + offset } }
            }
            return (pointers + [nil]).withUnsafeBufferPointer { body($0.baseAddress!) }
        }
    }

    static func withArrays<Result>(
        _ first: [String?], _ second: [String?], _ body: (Array, Array) -> Result
    ) -> Result {
        withArray(first) { first in withArray(second) { second in body(first, second) } }
    }
}
