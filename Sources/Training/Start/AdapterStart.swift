internal import Checkpoints
internal import Inference
internal import Settings
internal import Tokenizers

/// What the training of a low-rank adapter starts from: a model whose weights stay as they are.
struct AdapterStart {
    /// The model. Where the recipe names an adapter to read with, it is merged into the weights.
    let folder: ModelFolder
    /// The model without that adapter.
    private let unadapted: ModelFolder
    let shape: RotaryShape
    let tokenizer: any Tokenizer
    let endID: Int32
    private let seed: UInt64
    /// The adapter that training continues from; nil for a new one, which changes nothing yet.
    private let beginning: LoRAAdapter?

    /// - Throws: `CheckpointError`, `InferenceError`, `TokenizerError`, `UntrainableModel`.
    init(_ recipe: TrainingRecipe, llm: String, modelsFolder: String) throws {
        let path = ModelCache.locate(llm, in: modelsFolder)
        unadapted = try ModelFolder(path: path)
        folder = try ModelFolder(
            path: path,
            adapter: recipe.llmAdapter.map { ModelCache.locate($0, in: modelsFolder) })
        let configuration = try folder.configuration(of: \.rotary, "a model of the Llama type")
        guard !folder.isPacked else {
            throw InferenceError.wrongModel(
                path: path, expected: "weights as they were trained",
                found: "packed ones; name the original folder")
        }
        var layers: [Int]?
        if recipe.architecture == .llmLayers, case .llmLayers(let chosen) = recipe.start {
            layers = chosen
        }
        shape = try RotaryShape(
            folder, configuration,
            adapter: recipe.adapter.map {
                AdapterShape(rank: $0.rank, scale: Float($0.scale), targets: Set($0.targets))
            }, writingLayers: layers)
        tokenizer = try openTokenizer(folder: path)
        endID = configuration.endIDs[0]
        seed = recipe.seed
        // Opening the model with an adapter refuses one of another model.
        beginning =
            try recipe.startAdapter.flatMap {
                try ModelFolder(path: path, adapter: ModelCache.locate($0, in: modelsFolder))
                    .adapter
            } ?? folder.adapter
        if let beginning, recipe.startAdapter != nil, let rank = recipe.adapter?.rank,
            beginning.largestRank > rank
        {
            throw InferenceError.wrongModel(
                path: beginning.path, expected: "a rank of at most adapter.rank, \(rank)",
                found: "\(beginning.largestRank)")
        }
    }

    /// The adapter that training starts with. It is the one that the recipe names. Without such a
    /// name, a cut of a model that reads with an adapter starts with that adapter, where the rank
    /// is large enough. Otherwise the adapter is new and changes nothing: A is random and B is
    /// zero.
    ///
    /// - Throws: `CheckpointError` for one that does not fit the model's configuration.
    func adapter(_ layout: ParameterLayout) throws -> [NamedTensor] {
        var random = SplitMix64(seed: seed)
        return try layout.parameters.map { parameter in
            let values = FloatBuffer(count: parameter.range.count)
            let isDown = parameter.name.hasSuffix(RotaryNames.endOfDown)
            if isDown {
                let deviation = 1 / Float(parameter.shape[1]).squareRoot()
                values.withFloats { floats in
                    for index in floats.indices { floats[index] = random.normal() * deviation }
                }
            }
            try copyBeginning(parameter, isDown: isDown, into: values)
            return NamedTensor(parameter.name, parameter.shape, values)
        }
    }

    /// Copies the first rows of A, or columns of B, from the adapter that training continues from.
    private func copyBeginning(
        _ parameter: Parameter, isDown: Bool, into values: FloatBuffer
    ) throws {
        guard let rank = shape.adapter?.rank, let scale = shape.adapter?.scale,
            let delta = beginning?.delta(named: parameter.name), delta.rank <= rank
        else { return }
        let (own, factor) = isDown ? (delta.a, 1) : (delta.b, delta.scale / scale)
        let fitting =
            isDown ? [delta.rank, parameter.shape[1]] : [parameter.shape[0], delta.rank]
        guard own.shape == fitting else {
            throw CheckpointError(
                path: beginning?.path ?? folder.path,
                problem: .wrongShape(name: own.name, expected: fitting, found: own.shape))
        }
        let stored = FloatBuffer(count: own.count)
        stored.withFloats { own.read(into: $0) }
        let (source, target) = (
            stored.rows(width: own.shape[1]), values.rows(width: parameter.shape[1])
        )
        for row in 0..<own.shape[0] {
            for column in 0..<own.shape[1] {
                target[row][column] = factor * source[row][column]
            }
        }
    }

    /// - Throws: `CheckpointError` for a tensor that is missing or of another shape.
    func store(_ layout: ParameterLayout) throws -> ParameterStore {
        try ParameterStore(layout, tensors: try adapter(layout), path: folder.path) {
            parameter, floats in
            let isUnadapted = parameter.name.hasPrefix(RotaryNames.unadapted)
            let name = parameter.name.dropFirst(isUnadapted ? RotaryNames.unadapted.count : 0)
            try (isUnadapted ? unadapted : folder).weights
                .tensor(String(name), shape: parameter.shape).read(into: floats)
        }
    }

    /// Refuses examples for which the model has too few positions or no token vectors.
    func check(_ examples: [TrainingExample]) throws {
        let longest = examples.map(\.tokens).max() ?? 0
        guard longest - 1 <= shape.configuration.positions else {
            throw InferenceError.wrongModel(
                path: "the recipe",
                expected: "data.source_tokens and data.target_tokens that fit the model's "
                    + "\(shape.configuration.positions) positions together",
                found: "a pair of \(longest) tokens")
        }
        let highest = examples.lazy.flatMap { [$0.source, $0.cue, $0.target].joined() }.max() ?? 0
        guard Int(highest) < shape.vocabularyRows else {
            throw InferenceError.tokenOutsideVocabulary(
                path: folder.path, token: highest, rows: shape.vocabularyRows)
        }
    }
}
