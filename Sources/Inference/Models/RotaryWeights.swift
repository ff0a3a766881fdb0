internal import Checkpoints

/// The weights of a decoder-only model with rotary positions. Each part is loaded when it is first
/// asked for.
final class RotaryWeights {
    let configuration: RotaryConfiguration
    let cacheFormat: WeightFormat
    let path: String
    /// Scaled as reading needs it.
    let embedding: EmbeddingTable
    private let loader: WeightLoader
    /// The model that lends what this one does not have; nil for none.
    private let base: RotaryWeights?
    private var loadedLayers: [RotaryLayer] = []
    private var loadedNorm: WeightVector?
    private var loadedHead: OutputHead?

    /// - Parameter base: for layers cut out of a model, which may come without an embedding, a
    ///   final norm and a head.
    /// - Throws: `CheckpointError` for an embedding that is missing or of another width.
    init(
        _ configuration: RotaryConfiguration, loader: WeightLoader, base: RotaryWeights? = nil
    ) throws {
        self.configuration = configuration
        self.loader = loader
        self.base = base
        cacheFormat = loader.cacheFormat
        path = loader.weights.path
        if let base, !loader.contains(RotaryNames.embedding) {
            embedding = base.embedding
        } else {
            embedding = EmbeddingTable(
                loader.kept(try loader.weights.rotaryEmbedding(width: configuration.width)),
                scale: configuration.embeddingScale)
        }
    }

    /// The first `count` layers. Later ones are not loaded.
    func stack(_ count: Int) throws -> RotaryStack {
        while loadedLayers.count < count {
            loadedLayers.append(try RotaryLayer(loader, configuration, index: loadedLayers.count))
        }
        return RotaryStack(Array(loadedLayers.prefix(count)), configuration: configuration)
    }

    /// Loads all that the checkpoint has of a model, for the loader's record.
    ///
    /// - Parameter isCut: whether the layers are cut out of a larger model. Then the embedding, the
    ///   final norm and the head may be missing.
    static func loadAll(
        _ configuration: RotaryConfiguration, loader: WeightLoader, isCut: Bool
    ) throws {
        guard isCut, !loader.contains(RotaryNames.embedding) else {
            let weights = try RotaryWeights(configuration, loader: loader)
            _ = (try weights.stack(configuration.layers.count), try weights.norm())
            _ = try weights.head()
            return
        }
        for index in configuration.layers.indices {
            _ = try RotaryLayer(loader, configuration, index: index)
        }
        if loader.contains(RotaryNames.norm) {
            _ = try loader.vector(RotaryNames.norm, count: configuration.width)
        }
        if loader.contains(RotaryNames.head) {
            _ = try loader.head(RotaryNames.head, shape: [nil, configuration.width])
        }
    }

    /// The norm after the last layer.
    func norm() throws -> WeightVector {
        if let loadedNorm { return loadedNorm }
        if let base, !loader.contains(RotaryNames.norm) { return try base.norm() }
        let norm = try loader.norm(
            RotaryNames.norm, count: configuration.width, addsOne: configuration.normsAddOne)
        loadedNorm = norm
        return norm
    }

    func head() throws -> OutputHead {
        if let loadedHead { return loadedHead }
        let own = configuration.tiesEmbeddings ? RotaryNames.embedding : RotaryNames.head
        if let base, !loader.contains(own) { return try base.head() }
        // Responses follow the prompt's last token, so the start token is not used.
        let begin = configuration.beginID ?? 0
        let head = OutputHead(
            try loader.head(own, shape: [nil, configuration.width]),
            startID: Int(begin) < embedding.rows ? begin : 0, endIDs: configuration.endIDs,
            cap: configuration.logitCap)
        try head.checkVocabulary(embedding, path: path)
        loadedHead = head
        return head
    }
}

extension WeightFile {
    /// Token vectors, [rows, width].
    func rotaryEmbedding(width: Int) throws -> StoredTensor {
        try tensor(RotaryNames.embedding, shape: [nil, width])
    }
}
