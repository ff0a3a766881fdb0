internal import Checkpoints

/// Self-attention of the classic transformer: every projection has a bias, and scores are divided
/// by √headWidth.
struct ClassicSelfAttention: Sendable {
    private let around: ResidualNorm
    /// q, k and v side by side: [width → 3 · width]
    private let input: BiasedMatrix
    private let output: BiasedMatrix
    private let attention: HeadAttention

    /// - Parameter prefix: such as `model.encoder.layers.0.`.
    init(
        _ loader: WeightLoader, prefix: String, stack: ClassicConfiguration.Stack,
        configuration: ClassicConfiguration
    ) throws {
        let width = configuration.width
        attention = HeadAttention(configuration, stack, format: loader.cacheFormat)
        input = try loader.biased(
            ["q", "k", "v"].map { prefix + "self_attn.\($0)_proj" }, columns: width, inner: width)
        output = try loader.biased(
            [prefix + "self_attn.out_proj"], columns: width, inner: width)
        around = try ResidualNorm(
            loader, prefix + "self_attn_layer_norm", configuration: configuration)
    }

    var matrices: [PackedMatrix] { [input.weight, output.weight] }

    /// [q | k | v] of each row: valid in the caller's workspace scope.
    private func project(_ x: Rows, workspace: Workspace) -> Rows {
        let projected = workspace.rows(x.count, input.weight.columns)
        workspace.scope {
            input.apply(
                around.input(x, workspace: workspace), into: projected, workspace: workspace)
        }
        return projected
    }

    private func finish(_ mixed: Rows, _ x: Rows, workspace: Workspace) {
        output.apply(mixed, into: x, accumulate: true, workspace: workspace)
        around.finish(x, workspace: workspace)
    }

    /// Every token attends to every token of its document.
    ///
    /// x: the documents' tokens below each other, without padding.
    func apply(to x: Rows, documents: [Range<Int>], workspace: Workspace) {
        attention.overDocuments(
            x, documents, bias: nil, workspace: workspace,
            project: { project($0, workspace: workspace) },
            finish: { finish($0, $1, workspace: workspace) })
    }

    /// One new token per row, at its position: see `HeadAttention.step`.
    func step(
        _ x: Rows, rows: [DecoderRow], positions: [Int], layer: Int, workspace: Workspace
    ) {
        workspace.scope {
            let projected = project(x, workspace: workspace)
            let mixed = workspace.rows(x.count, attention.width)
            attention.step(
                projected, rows: rows, positions: positions, layer: layer, bias: nil, into: mixed,
                workspace: workspace)
            finish(mixed, x, workspace: workspace)
        }
    }
}

/// Attention of the decoder to the encoder's states.
struct ClassicCrossAttention: Sendable {
    private let around: ResidualNorm
    private let query: BiasedMatrix
    /// k and v side by side: [width → 2 · width]
    private let keyValue: BiasedMatrix
    private let output: BiasedMatrix
    private let attention: HeadAttention

    /// - Parameter prefix: such as `model.decoder.layers.0.`.
    init(_ loader: WeightLoader, prefix: String, configuration: ClassicConfiguration) throws {
        let width = configuration.width
        attention = HeadAttention(configuration, configuration.decoder, format: loader.cacheFormat)
        let names = prefix + "encoder_attn."
        query = try loader.biased([names + "q_proj"], columns: width, inner: width)
        keyValue = try loader.biased(
            [names + "k_proj", names + "v_proj"], columns: width, inner: width)
        output = try loader.biased([names + "out_proj"], columns: width, inner: width)
        around = try ResidualNorm(
            loader, prefix + "encoder_attn_layer_norm", configuration: configuration)
    }

    /// The matrices that every token of a response is multiplied with.
    var matrices: [PackedMatrix] { [query.weight, output.weight] }

    /// Computes the keys and values of a document, once for all steps. states: [tokens, width].
    func prepare(_ cache: KeyValueCache, layer: Int, states: Rows, workspace: Workspace) {
        workspace.scope {
            let projected = workspace.rows(states.count, keyValue.weight.columns)
            keyValue.apply(states, into: projected, workspace: workspace)
            attention.prepare(cache, layer: layer, projected: projected)
        }
    }

    func step(_ x: Rows, rows: [DecoderRow], layer: Int, workspace: Workspace) {
        workspace.scope {
            let queries = workspace.rows(x.count, attention.width)
            let mixed = workspace.rows(x.count, attention.width)
            query.apply(
                around.input(x, workspace: workspace), into: queries, workspace: workspace)
            attention.overSources(
                queries, rows: rows, layer: layer, into: mixed, workspace: workspace)
            output.apply(mixed, into: x, accumulate: true, workspace: workspace)
            around.finish(x, workspace: workspace)
        }
    }
}

extension HeadAttention {
    fileprivate init(
        _ configuration: ClassicConfiguration, _ stack: ClassicConfiguration.Stack,
        format: WeightFormat
    ) {
        let headWidth = configuration.width / stack.heads
        self.init(
            heads: stack.heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            format: format)
    }
}
