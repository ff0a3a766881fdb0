import Checkpoints
import Inference

/// Parameters and bytes by part of a model.
struct PartSizes {
    struct Size: Encodable {
        let part: String
        var parameters = 0
        var bytes = 0
        var formats: Set<String> = []
    }

    private(set) var sizes: [Size] = []

    /// - Parameter packing: nil for a checkpoint.
    init(_ weights: WeightFile, _ packing: Packing?) throws {
        try add(weights, part: nil)
        for matrix in packing?.sizes ?? [] {
            let bytes = try ["/panels", "/scales", "/sums"].map { matrix.name + $0 }
                .filter(weights.contains).reduce(0) { try $0 + weights.bytes(of: $1).bytes.count }
            // An embedding is packed only as a head.
            let part = Self.part(of: matrix.name)
            add(
                to: part == "embedding" ? "head" : part, parameters: matrix.parameters,
                bytes: bytes, format: matrix.format.rawValue)
        }
    }

    /// - Parameter part: nil to find the part by the name of each tensor.
    mutating func add(_ weights: WeightFile, part: String?) throws {
        for name in weights.names {
            // Old GPT-2 files hold masks, which are no weights.
            // Parts of packed matrices have names of their own.
            guard let tensor = try? weights.tensor(name), !name.contains("/") else { continue }
            add(
                to: part ?? Self.part(of: name), parameters: tensor.count,
                bytes: tensor.byteCount,
                format: tensor.format.rawValue)
        }
    }

    private mutating func add(to part: String, parameters: Int, bytes: Int, format: String) {
        let index = sizes.firstIndex { $0.part == part } ?? sizes.count
        if index == sizes.count { sizes.append(Size(part: part)) }
        sizes[index].parameters += parameters
        sizes[index].bytes += bytes
        sizes[index].formats.insert(format)
    }

    var rows: [[String]] {
        var total = Size(part: "all")
        for size in sizes {
            total.parameters += size.parameters
            total.bytes += size.bytes
            total.formats.formUnion(size.formats)
        }
        return (sizes + [total]).map { size in
            [
                size.part, size.parameters.grouped,
                (Double(size.bytes) / 1_000_000).rounded(digits: 1),
                size.formats.sorted().joined(separator: ", "),
            ]
        }
    }

    private static func part(of name: String) -> String {
        let root = ["transformer.", "model."].first { name.hasPrefix($0) } ?? ""
        let name = name.dropFirst(root.count)
        return switch name.prefix(while: { $0 != "." }) {
        case "encoder": name.hasPrefix("encoder.embed_tokens") ? "embedding" : "encoder"
        case "decoder": name.hasPrefix("decoder.embed_tokens") ? "embedding" : "decoder"
        case "shared", "wte", "wpe": "embedding"
        case "lm_head": "head"
        case "embed_tokens": "embedding"
        case "h", "ln_f", "layers", "norm": "decoder"
        default: "other"
        }
    }
}
