internal import Foundation

func logarithm(_ x: Float) -> Float { logf(x) }
func exponential(_ x: Float) -> Float { expf(x) }
func cosine(_ x: Float) -> Float { cosf(x) }
func sine(_ x: Float) -> Float { sinf(x) }
func power(_ x: Float, _ y: Float) -> Float { powf(x, y) }

/// ln Σ e^x, without overflow.
func logSumExp(_ values: UnsafePointer<Float>, count: Int) -> Float {
    let top = values[Operators.argmax(values, count: count)]
    var sum = 0.0
    for index in 0..<count { sum += Double(expf(values[index] - top)) }
    return top + Float(log(sum))
}
