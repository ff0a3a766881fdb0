package import Jobs

/// What `l2s train` makes, of what, and how: YAML text → one checked value.
package struct TrainingRecipe: Sendable, Equatable {
    /// Relative to the models folder. Nil for models that read by themselves.
    package let llm: String?
    /// Relative to the models folder.
    package let output: String
    package let prompt: PromptTemplate
    package let architecture: Architecture
    /// Nil likewise.
    package let fusion: Fusion?
    package let promptEmbedding: PromptEmbedding
    package let start: Start
    /// How the weights of the output are written.
    package let stored: StoredFormat
    /// Folder of the outputs' tokenizer, relative to the models folder. Nil: the checkpoint's, or
    /// the LLM's.
    package let tokenizer: String?
    /// Hidden width of a new projector. Nil: by the starting point.
    package let projectorWidth: Int?
    /// Learned vectors before every prompt of a model that reads by itself; 0 for none.
    package let softPrompt: Int
    /// Whether the checkpoint stays as it is and the soft prompt alone is trained.
    package let isFrozen: Bool
    /// What is trained beside the LLM's own matrices, for `adapter` and `llm_layers`.
    package let adapter: Adapter?
    /// An adapter that the LLM reads with, relative to the models folder; nil for none.
    package let llmAdapter: String?
    /// An adapter that training goes on from, relative to the models folder; nil for a new one.
    package let startAdapter: String?
    package let precision: Precision
    package let data: Data
    /// Source and target tokens of a batch.
    package let batchTokens: Int
    package let accumulation: Int
    package let length: Length
    package let optimizer: Optimizer
    package let labelSmoothing: Double
    /// How much of what `llmLayers` learn is the LLM's own distribution, in place of the label.
    package let distillation: Double
    package let dropout: Double
    package let seed: UInt64
    /// Steps between validations.
    package let validationInterval: Int
    /// Validations without a better loss until training stops. Nil: it does not.
    package let patience: Int?
    /// Nil: the machine's cores.
    package let threads: Int?
}

extension TrainingRecipe {
    package enum Architecture: String, Sendable, CaseIterable {
        /// A T5 decoder without an encoder, which attends to the projected states.
        case t5Decoder = "t5_decoder"
        /// A T5 whose encoder reads the projected states.
        case t5
        case gpt2
        /// A T5 that reads by itself, without a large model.
        case wholeT5 = "whole_t5"
        /// A GPT-2 that reads by itself, without a large model.
        case wholeGPT2 = "whole_gpt2"
        /// A low-rank adapter of the LLM, which reads and writes.
        case adapter
        /// Some of the LLM's own layers under an adapter, which write upon the keys and values that
        /// the reading left in them.
        case llmLayers = "llm_layers"

        /// Whether low-rank matrices beside those of the LLM are trained.
        package var isAdapter: Bool { self == .adapter || self == .llmLayers }
        package var readsByItself: Bool { self == .wholeT5 || self == .wholeGPT2 }
        package var isGPT2: Bool { self == .gpt2 || self == .wholeGPT2 }
    }

    /// Spelled as in l2s.json.
    package enum Fusion: String, Sendable, CaseIterable {
        case add
        case replace
        case crossAttention = "cross_attention"
    }

    package enum PromptEmbedding: String, Sendable, CaseIterable {
        case slm
        case llm
    }

    package enum StoredFormat: String, Sendable, CaseIterable {
        case float32
        case bfloat16
    }

    package enum Start: Sendable, Equatable {
        /// New weights of these sizes.
        case scratch(Sizes)
        /// The weights of a folder, relative to the models folder.
        case checkpoint(String)
        /// These layers of the LLM's decoder, with its embedding and head.
        case llmLayers([Int])
    }

    /// Low-rank matrices beside the LLM's own (Hu et al. 2021, arXiv 2106.09685).
    package struct Adapter: Sendable, Equatable {
        package let rank: Int
        package let alpha: Double
        /// Divides alpha by the root of the rank in place of the rank (arXiv 2312.03732).
        package let isRankStabilized: Bool
        /// Such as `q_proj`.
        package let targets: [String]

        /// What the product of the two matrices is multiplied by.
        package var scale: Double {
            alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
        }
    }

    /// What the operands of products are rounded to.
    package enum Precision: String, Sendable, CaseIterable {
        case float32
        case bfloat16
    }

    package struct Sizes: Sendable, Equatable {
        package let width: Int
        package let headWidth: Int
        package let heads: Int
        package let feedForward: Int
        /// Layers of the decoder.
        package let layers: Int
        package let encoderLayers: Int
        package let positions: Int
    }

    /// JSON Lines of pairs. Paths are from the working folder.
    package struct Data: Sendable, Equatable {
        /// Not empty; one without a cue unless the recipe has `tasks`.
        package let tasks: [Task]
        package let sourceField: String
        package let targetField: String
        /// Longer prompts are cut off.
        package let sourceTokens: Int
        /// Pairs with longer targets are left out.
        package let targetTokens: Int
        /// Folder of the LLM's states. Nil: beside the output, for as long as training lasts.
        package let cache: String?

        /// The training pairs of the first task.
        package var train: String { tasks.first?.train ?? "" }
        package var validation: String { tasks.first?.validation ?? "" }
    }

    /// The pairs of one of several tasks that are learned together.
    package struct Task: Sendable, Equatable {
        package let name: String
        package let train: String
        package let validation: String
        /// The share of a pass that this task's pairs make, in proportion to the other tasks'.
        package let share: Double
        /// What the decoder is given before it writes: the `decoder_prompt` of the job types to come.
        package let decoderPrompt: String?
    }

    /// At least one is set; the first one met ends the training.
    package struct Length: Sendable, Equatable {
        package let steps: Int?
        package let epochs: Int?
        package let time: Duration?
    }

    package enum Schedule: String, Sendable, CaseIterable {
        case cosine
        case inverseSquareRoot = "inverse_sqrt"
    }

    /// AdamW (Loshchilov and Hutter, arXiv 1711.05101).
    package struct Optimizer: Sendable, Equatable {
        package let learningRate: Double
        package let schedule: Schedule
        package let warmupSteps: Int
        package let weightDecay: Double
        package let beta1: Double
        package let beta2: Double
        /// The largest norm of a gradient. Nil: any.
        package let clipping: Double?
    }
}
