import FoundationEssentials

/// The folders of a large model of three layers and of a small one, which is its layers 0 and 2
/// with a low-rank adapter.
package final class CutFolder {
    /// A large model that the adapter fits.
    package enum Large: String, Sendable, CaseIterable {
        case folder = "families/hybrid-layers/llm"
        case gguf = "golden/gguf-llama/llama-q8_0.gguf"

        /// Rows and columns of a layer's matrices, by name.
        fileprivate var shapes: [(name: String, rows: Int, columns: Int)] {
            let (query, keys, inner) = self == .folder ? (48, 24, 48) : (32, 16, 64)
            return [
                ("self_attn.q_proj", query, 32), ("self_attn.k_proj", keys, 32),
                ("self_attn.v_proj", keys, 32), ("self_attn.o_proj", 32, query),
                ("mlp.gate_proj", inner, 32), ("mlp.up_proj", inner, 32),
                ("mlp.down_proj", 32, inner),
            ]
        }
    }

    package let scratch: ScratchFolder
    package var llm: String { scratch.path + "/llm" }
    package var slm: String { scratch.path + "/slm" }

    /// - Parameters:
    ///   - listed: the layers that `l2s.json` lists.
    ///   - adapted: the layers that the adapter changes.
    package init(
        _ large: Large, listed: [Int] = [0, 2], adapted: [Int] = [0, 2], rank: Int = 2
    ) throws {
        scratch = try ScratchFolder()
        if large == .folder {
            try scratch.copy(fixture: large.rawValue)
        } else {
            try FileManager.default.createDirectory(
                atPath: scratch.path + "/llm", withIntermediateDirectories: false)
            try scratch.copy(fixture: large.rawValue, as: "llm/model.gguf")
        }
        try FileManager.default.createDirectory(
            atPath: scratch.path + "/slm", withIntermediateDirectories: false)
        try scratch.write(
            "slm/l2s.json",
            #"{"format": 2, "llm": "../llm", "fusion": "layers", "layers": \#(listed)}"#.utf8)
        try writeAdapter(
            adapted.flatMap { layer in
                large.shapes.map { ("layers.\(layer).\($0.name)", $0.rows, $0.columns) }
            }, rank: rank)
    }

    /// Writes an adapter into the small model's folder, in place of the one there.
    package func writeAdapter(
        _ matrices: [(name: String, rows: Int, columns: Int)], rank: Int = 2, alpha: Int = 3
    ) throws {
        try scratch.write(
            "slm/adapter_config.json",
            """
            {"peft_type": "LORA", "r": \(rank), "lora_alpha": \(alpha), "use_rslora": true,
             "bias": "none"}
            """.utf8)
        var random = SeededRandom(seed: 17)
        var entries: [String] = []
        var bytes: [UInt8] = []
        for (name, rows, columns) in matrices {
            for (part, shape) in [("lora_A", [rank, columns]), ("lora_B", [rows, rank])] {
                let start = bytes.count
                for _ in 0..<shape[0] * shape[1] {
                    let value = Float.random(in: -0.2...0.2, using: &random)
                    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
                }
                entries.append(
                    #""base_model.model.model.\#(name).\#(part).weight": {"dtype": "F32", "#
                        + #""shape": \#(shape), "data_offsets": [\#(start), \#(bytes.count)]}"#)
            }
        }
        let header = Array("{\(entries.joined(separator: ", "))}".utf8)
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
        try scratch.write("slm/adapter_model.safetensors", length + header + bytes)
    }
}
