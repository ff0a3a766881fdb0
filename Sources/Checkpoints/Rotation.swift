internal import Glibc

/// The angles by which rotary positions turn queries and keys (RoFormer, arXiv 2104.09864), and the
/// scaling with which some families read longer texts than they were first trained on.
package struct Rotation: Sendable, Equatable, Hashable {
    package enum Scaling: Sendable, Equatable, Hashable {
        case none
        /// All angles are divided by the factor.
        case linear(factor: Float)
        /// Llama 3.1: slow angles are divided by the factor, fast ones stay, and those between are
        /// mixed.
        case llama3(factor: Float, low: Float, high: Float, trainedPositions: Int)
    }

    package let theta: Float
    package let scaling: Scaling

    package init(theta: Float, scaling: Scaling = .none) {
        self.theta = theta
        self.scaling = scaling
    }

    /// The angle by which each pair of channels turns from one position to the next: `headWidth` /
    /// 2 angles in radians, computed in float32 as transformers does.
    package func frequencies(headWidth: Int) -> [Float] {
        (0..<headWidth / 2).map { pair in
            scaled(1 / powf(theta, Float(2 * pair) / Float(headWidth)))
        }
    }

    private func scaled(_ frequency: Float) -> Float {
        switch scaling {
        case .none: return frequency
        case .linear(let factor): return frequency / factor
        case .llama3(let factor, let low, let high, let trainedPositions):
            let wavelength = 2 * Float.pi / frequency
            let turns = Float(trainedPositions) / wavelength
            if wavelength > Float(trainedPositions) / low { return frequency / factor }
            if wavelength < Float(trainedPositions) / high { return frequency }
            let share = (turns - low) / (high - low)
            return (1 - share) * frequency / factor + share * frequency
        }
    }
}

extension Rotation {
    private static let thetas: ClosedRange<Float> = 1...1e12
    private static let factors: ClosedRange<Float> = 1e-3...1e6

    /// Reads the form of transformers 5, which has everything in one object.
    ///
    /// - Parameter fields: `rope_parameters`, or its part for one kind of layer.
    init(parameters fields: JSONFields, theta: Float, positions: Int) throws {
        self.init(
            theta: try fields.number("rope_theta", in: Self.thetas, default: theta),
            scaling: try Self.scaling(fields, positions: positions))
    }

    /// Reads the form of transformers 4, which has the scaling in an object beside the base of the
    /// angles.
    init(
        _ fields: JSONFields, theta name: String = "rope_theta", default theta: Float,
        positions: Int, isScaled: Bool = true
    ) throws {
        let scaling = isScaled ? try fields.object("rope_scaling") : nil
        self.init(
            theta: try fields.number(name, in: Self.thetas, default: theta),
            scaling: try scaling.map { try Self.scaling($0, positions: positions) } ?? .none)
    }

    private static func scaling(_ fields: JSONFields, positions: Int) throws -> Scaling {
        // Old files call it `type`.
        let name = fields.has("rope_type") ? "rope_type" : "type"
        switch try fields.text(name, oneOf: ["default", "linear", "llama3"], default: "default") {
        case "linear":
            return .linear(factor: try fields.number("factor", in: factors))
        case "llama3":
            let low = try fields.number("low_freq_factor", in: factors)
            let high = try fields.number("high_freq_factor", in: factors)
            guard high > low else {
                throw fields.refuse(
                    "high_freq_factor", "more than low_freq_factor (\(low))", "\(high)")
            }
            return .llama3(
                factor: try fields.number("factor", in: factors), low: low, high: high,
                trainedPositions: try fields.whole(
                    "original_max_position_embeddings", in: SizeLimit.positions,
                    default: positions))
        default: return .none
        }
    }
}
